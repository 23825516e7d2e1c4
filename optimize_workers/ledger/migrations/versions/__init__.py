"""One module per step; `REVISIONS` of `upgrade` names them in order."""

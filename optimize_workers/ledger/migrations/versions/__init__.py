"""One module per step; `REVISIONS` of `migrating` names them in order."""

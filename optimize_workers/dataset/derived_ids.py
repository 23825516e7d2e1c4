"""Ids of documents and queries that were made of real ones, so that no record takes one for the other.

A derived id names what it was made of, and forgetting a document finds all that was made of it.
"""

from __future__ import annotations

SEPARATOR = "#adversarial:"


def derived_id(own_id: str, kind: str, source_id: str | None = None) -> str:
    """Id of what was made of `own_id`; `source_id` is a second document whose text went into it."""
    return f"{own_id}{SEPARATOR}{kind}" + (f":{source_id}" if source_id is not None else "")


def is_derived_from(derived: str, doc_id: str) -> bool:
    """Whether an id names something that holds text of the document."""
    own, separator, rest = derived.partition(SEPARATOR)
    return bool(separator) and doc_id in (own, rest.partition(":")[2])

"""What `optimize --optimizer bullets` chooses from: a file or the library, without what held-out data taught."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from cluster.library import accepted_bullets
from cluster.stores import open_ledger
from judge_serve.judging.errors import RefusedInputError
from optimize_workers.bullets import Bullet, read_bullets
from optimize_workers.dataset import Dataset
from optimize_workers.guardrails import Refusal

HELD_OUT = "held_out_source"  # reason of a refusal


class HeldOut(NamedTuple):
    """A bullet that was learned from a document of val or test, and the refusal that says so."""

    bullet: Bullet
    refusal: Refusal


def library_bullets(file: Path | None) -> list[Bullet]:
    """The bullets of a file, or those that people accepted where there is none.

    Raises: RefusedInputError if there are none.
    """
    if file is not None:
        return read_bullets(file)
    with open_ledger() as ledger:
        bullets, _ = accepted_bullets(ledger, all_splits=False)
    if not bullets:
        raise RefusedInputError(
            "the library holds no bullets to choose from; give some by --bullets FILE, 'relevance-judge bullets "
            "import FILE', or accept them in 'relevance-judge review RUN'"
        )
    return bullets


def without_held_out(bullets: Sequence[Bullet], dataset: Dataset) -> tuple[list[Bullet], list[HeldOut]]:
    """Bullets that may be chosen on this data, and those whose source stands in val or test, or in several splits."""
    held_out = {e.item.doc_id: split for split in ("val", "test") for e in dataset.by_split[split]}
    kept: list[Bullet] = []
    refused: list[HeldOut] = []
    for bullet in bullets:
        found = next((source.doc_id for source in bullet.sources if source.doc_id in held_out), None)
        if found is None:
            kept.append(bullet)
        else:
            detail = f"document {found!r} of split {held_out[found]!r}"
            refused.append(HeldOut(bullet, Refusal(HELD_OUT, detail)))
    return kept, refused

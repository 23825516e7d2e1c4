"""What `optimize --optimizer bullets` chooses from: a file or the library, without what held-out data taught.

A run keeps what it was offered in its folder, `bullets.jsonl`, and is resumed with that: a library or file that changed
meanwhile would make it another search.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from cluster.library.bullets import accepted_bullets
from cluster.runs.folder import OFFERED_BULLETS, RunFolder
from judge_serve.judging.content_key import digest_of_text
from judge_serve.judging.errors import RefusedInputError
from optimize_workers.dataset.splits import ID_CHARS, Dataset
from optimize_workers.guardrails import Refusal
from optimize_workers.library.bullets import Bullet, Source, read_bullets, write_bullets

HELD_OUT = "held_out_source"  # reason of a refusal


class HeldOut(NamedTuple):
    """A bullet that was learned from a document of val or test, and the refusal that says so."""

    bullet: Bullet
    refusal: Refusal


def offered_bullets(folder: Path, file: Path | None, *, resume: bool) -> list[Bullet]:
    """What a run chooses from: what its folder says if it is resumed, else the bullets of `file` or of the library.

    Raises: RefusedInputError if there are none, or if a run that has begun to search has lost its own.
    """
    own = folder / OFFERED_BULLETS
    if not resume or not (own.exists() or RunFolder.has_begun(folder)):
        return library_bullets(file)
    if not own.exists():
        raise RefusedInputError(
            f"--resume: {own}, which says what the search chooses from, is gone; put it back, or start anew in another "
            "--out: what was judged already comes from the ledger"
        )
    return read_bullets(own)


def keep_offered(folder: RunFolder, bullets: Sequence[Bullet]) -> None:
    """Write what a run chooses from into its folder; `ledger forget` knows this file."""
    write_bullets(folder.path / OFFERED_BULLETS, bullets)


def library_bullets(file: Path | None) -> list[Bullet]:
    """The bullets of a file, or those that people accepted where there is none.

    Raises: RefusedInputError if there are none.
    """
    if file is not None:
        return read_bullets(file)
    bullets, _ = accepted_bullets(all_splits=False)
    if not bullets:
        raise RefusedInputError(
            "the library holds no bullets to choose from; give some by --bullets FILE, 'relevance-judge bullets "
            "import FILE', or accept them in 'relevance-judge review RUN'"
        )
    return bullets


def without_held_out(bullets: Sequence[Bullet], dataset: Dataset) -> tuple[list[Bullet], list[HeldOut]]:
    """Bullets that may be chosen on this data, and those that a document or query of val or test taught.

    A document is known by its id, by the digest of its text, which is the id where data gives none, and by its copies:
    one of train that equals one of val or test, or nearly does, counts as that one. A query is known in the same way; a
    query that stands in several splits teaches by its training pairs. A source holds no text: a copy that stands in no
    row of this data, under an id that is neither, is not found.
    """
    held_out = _HeldOutIds(dataset)
    kept: list[Bullet] = []
    refused: list[HeldOut] = []
    for bullet in bullets:
        found = next((detail for source in bullet.sources for detail in held_out.found_in(source)), None)
        if found is None:
            kept.append(bullet)
        else:
            refused.append(HeldOut(bullet, Refusal(HELD_OUT, found)))
    return kept, refused


class _HeldOutIds:
    """What val and test of a dataset hold, by all ids that a source may name."""

    def __init__(self, dataset: Dataset) -> None:
        held_out = [(split, e.item) for split in ("val", "test") for e in dataset.by_split[split]]
        self._documents = {digest_of_text(item.document)[:ID_CHARS]: split for split, item in held_out}
        self._documents |= {item.doc_id: split for split, item in held_out}
        self._queries = {digest_of_text(item.query)[:ID_CHARS]: split for split, item in held_out}
        self._queries |= {item.query_id: split for split, item in held_out}
        train = [example.item for example in dataset.by_split["train"]]
        self._pairs = {(item.query_id, item.doc_id) for item in train}
        copies = dataset.crossing_docs | dataset.near_copies
        self._copies = copies | {digest_of_text(i.document)[:ID_CHARS] for i in train if i.doc_id in copies}

    def found_in(self, source: Source) -> Iterator[str]:
        """What of a source is held out, in words."""
        if source.doc_id in self._documents:
            yield f"document {source.doc_id!r} of split {self._documents[source.doc_id]!r}"
        elif source.doc_id in self._copies:
            yield f"document {source.doc_id!r}, a copy or near copy of one of val or test"
        elif source.query_id in self._queries and (source.query_id, source.doc_id) not in self._pairs:
            yield f"query {source.query_id!r} of split {self._queries[source.query_id]!r}"

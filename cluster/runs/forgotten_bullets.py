"""Bullets that a forgotten document taught: in what runs were offered, and the lines to look for in other files.

Ids stay, as they do in tables: by them a bullet that a held-out document taught is still refused.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

from cluster.runs.folder import OFFERED_BULLETS
from judge_serve.judging.errors import RefusedInputError
from optimize_workers.library.bullets import Bullet, read_bullets, write_bullets
from optimize_workers.library.reviews import EventKind, ReviewEvent, one_line

logger = logging.getLogger(__name__)


class Offered(NamedTuple):
    """A run's file of offered bullets that names a document: what it holds, and what it is to hold."""

    path: Path
    before: list[Bullet]
    after: list[Bullet]

    @property
    def lines(self) -> set[str]:
        """Texts of the bullets that leave."""
        return {bullet.text for bullet in self.before} - {bullet.text for bullet in self.after}

    def rewrite(self) -> bool:
        """Write what is left, whole or not at all; whether anything changed.

        Raises: RefusedInputError if the file cannot be written.
        """
        if self.after == self.before:
            return False
        write_bullets(self.path, self.after)
        return True


def offered_with(folders: Iterable[Path], doc_id: str) -> tuple[list[Offered], list[Path]]:
    """Files in run folders with a bullet that the document taught, and those that cannot be read."""
    found, unreadable = [], []
    for path in (folder / OFFERED_BULLETS for folder in folders):
        try:
            if not path.is_file() or path.stat().st_size == 0:  # all that was offered is forgotten
                continue
            bullets = read_bullets(path)
        except (OSError, RefusedInputError) as error:
            logger.warning("%s cannot be read (%s)", path, error)
            unreadable.append(path)
            continue
        if any(source.doc_id == doc_id for bullet in bullets for source in bullet.sources):
            found.append(Offered(path, bullets, without_document(bullets, doc_id)))
    return found, unreadable


def without_document(bullets: Iterable[Bullet], doc_id: str) -> list[Bullet]:
    """Bullets without what was written about a document.

    A bullet that the document alone taught leaves, and so does one whose text is what was written about it. One that
    other documents taught as well stays, as it does in the library; it loses the explanation.
    """
    kept = []
    for bullet in bullets:
        mine = [source for source in bullet.sources if source.doc_id == doc_id]
        others = [source for source in bullet.sources if source.doc_id != doc_id]
        is_mine = any(one_line(source.explanation) == bullet.text for source in mine)
        is_of_others = any(one_line(source.explanation) == bullet.text for source in others)
        if mine and (not others or (is_mine and not is_of_others)):
            continue
        emptied = (
            source.model_copy(update={"explanation": ""}) if source.doc_id == doc_id else source
            for source in bullet.sources
        )
        kept.append(bullet.model_copy(update={"sources": tuple(emptied)}) if mine else bullet)
    return kept


def lines_taught_by(events: Sequence[ReviewEvent], doc_id: str) -> set[str]:
    """Bullets that were accepted or imported of this document and of no other, whatever became of them."""
    taught = [e for e in events if e.kind in (EventKind.ACCEPTED, EventKind.IMPORTED) and e.text]
    of_others = {event.text for event in taught if event.doc_id != doc_id}
    return {event.text for event in taught if event.doc_id == doc_id} - of_others

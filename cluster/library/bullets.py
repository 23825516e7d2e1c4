"""The bullet library: what reviews and imports came to, written to files, read from them, and taken out again."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from cluster.library.config import ExportBulletsConfig, ImportBulletsConfig, LibraryConfig, RemoveBulletsConfig
from cluster.machine.user import user_name
from cluster.runs.run import has_ledger, open_ledger
from judge_serve.judging.errors import RefusedInputError
from optimize_workers.library.bullets import Bullet, read_bullets, write_bullets
from optimize_workers.library.distillation import group_similar, merge_similar
from optimize_workers.library.reviews import EventKind, ReviewEvent, library_of, removal_of

TRAIN = "train"


def run_list(config: LibraryConfig) -> dict[str, Any]:
    """The library, as JSON."""
    bullets, num_held_out = accepted_bullets(all_splits=config.all_splits)
    return {
        "bullets": [{"id": bullet.id, **bullet.model_dump(mode="json")} for bullet in bullets],
        "held_out": num_held_out,
    }


def run_export(config: ExportBulletsConfig) -> dict[str, Any]:
    """Write the library for `optimize --bullets`."""
    if config.path.exists():
        raise RefusedInputError(f"{config.path} exists; choose another name or remove it")
    bullets, num_held_out = accepted_bullets(all_splits=config.all_splits)
    if not bullets:
        raise RefusedInputError("the library is empty; accept bullets in 'relevance-judge review RUN' first")
    write_bullets(config.path, bullets)
    return {"bullets": len(bullets), "held_out": num_held_out, "path": str(config.path)}


def run_import(config: ImportBulletsConfig) -> dict[str, Any]:
    """Take the bullets of a file into the library; of those that it holds already only further sources."""
    with open_ledger() as ledger:
        known = {bullet.text: bullet.sources for bullet in library_of(ledger.review_events())}
        new = []
        for bullet in read_bullets(config.path):
            sources = tuple(source for source in bullet.sources if source not in known.get(bullet.text, ()))
            if sources or bullet.text not in known:
                new.append(bullet.model_copy(update={"sources": sources}))
        now = datetime.now(UTC)
        ledger.add_review_events([event for bullet in new for event in _import_events(bullet, user_name(), now)])
    return {"imported": len(new), "path": str(config.path)}


def run_remove(config: RemoveBulletsConfig) -> dict[str, Any]:
    """Take bullets out of the library, with those that say the same: else one of these would stand there instead.

    Raises: RefusedInputError if one of the ids is none of the library; then nothing is removed.
    """
    with open_ledger() as ledger:
        events = ledger.review_events()
        bullets = library_of(events)
        groups = group_similar(bullets) + group_similar(_of_train(bullets))  # as both forms of `list` merge them
        unknown = [id for id in config.ids if all(bullet.id != id for bullet in bullets)]
        if unknown:
            raise RefusedInputError(
                f"the library holds no bullet {', '.join(unknown)}; 'relevance-judge bullets list --all-splits' "
                "shows the ids of those that it holds"
            )
        texts = {one.text for group in groups if any(one.id in config.ids for one in group) for one in group}
        ledger.add_review_events(removal_of(events, texts, user_name(), datetime.now(UTC)))
    return {"removed": [{"id": bullet.id, "text": bullet.text} for bullet in bullets if bullet.text in texts]}


def accepted_bullets(*, all_splits: bool) -> tuple[list[Bullet], int]:
    """The bullets, merged where they say the same, and how many were left out as learned from held-out pairs alone.

    What is left out is so before anything is merged: a text learned from a held-out pair must not stand for others.
    """
    if not has_ledger():
        return [], 0
    with open_ledger() as ledger:
        bullets = library_of(ledger.review_events())
    if all_splits:
        return merge_similar(bullets), 0
    kept = _of_train(bullets)
    return merge_similar(kept), len(bullets) - len(kept)


def _of_train(bullets: Sequence[Bullet]) -> list[Bullet]:
    """The bullets that training pairs or nobody taught, with these sources only."""
    kept = []
    for bullet in bullets:
        sources = tuple(source for source in bullet.sources if source.split == TRAIN)
        if sources or not bullet.sources:
            kept.append(bullet.model_copy(update={"sources": sources}))
    return kept


def _import_events(bullet: Bullet, author: str, at: datetime) -> list[ReviewEvent]:
    """One event for each source, so that a document can be forgotten; one without a pair where there is none."""
    payload = {"text": bullet.text, "author": bullet.author, "created_at": bullet.created_at}
    plain = ReviewEvent("", "", "", TRAIN, EventKind.IMPORTED, payload, author, at)
    return [
        replace(
            plain,
            query_id=source.query_id,
            doc_id=source.doc_id,
            split=source.split,
            payload={**payload, "explanation": source.explanation},
        )
        for source in bullet.sources
    ] or [plain]

"""Exporting reviews: one JSON line for each pair, with its state and every action that led to it."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path

from judge_serve.judging.errors import RefusedInputError
from optimize_workers.library.reviews import ReviewEvent, reviews_of


def export_lines(events: Sequence[ReviewEvent]) -> Iterator[str]:
    """The lines, each with its line break; query and document are named by their ids."""
    for key, review in reviews_of(events).items():
        content = {
            **key._asdict(),
            "split": review.split,
            "decision": str(review.decision),
            "decided_by": review.decided_by,
            "explanation": review.explanation,
            "explained_by": review.explained_by,
            "bullet": review.bullet,
            "bullet_by": review.bullet_by,
            "events": [
                {
                    "number": event.number,
                    "kind": str(event.kind),
                    **event.payload,
                    "author": event.author,
                    "at": event.at.isoformat(),
                    **({} if event.undoes is None else {"undoes": event.undoes}),
                }
                for event in review.events
            ],
        }
        yield json.dumps(content, ensure_ascii=False) + "\n"


def write_export(path: Path, events: Sequence[ReviewEvent]) -> int:
    """Write the lines to a file that is not there yet, whole or not at all; returns how many.

    Raises: RefusedInputError if there is nothing to write, or if the file exists or cannot be written.
    """
    if not events:
        raise RefusedInputError(
            f"nothing was reviewed in this run, so {path} is not written; review pairs first, without --export"
        )
    if path.exists():
        raise RefusedInputError(f"{path} exists; choose another name or remove it")
    lines = list(export_lines(events))
    scratch = path.with_name(f".{path.name}.tmp")
    try:
        scratch.write_text("".join(lines), encoding="utf-8")
        scratch.rename(path)
    except OSError as error:
        raise RefusedInputError(f"{path} cannot be written ({error.strerror or error}); choose another") from error
    return len(lines)

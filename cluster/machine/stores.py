"""Opening this user's stores: the ledger, and the journals of studies."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from judge_serve.judging.content_key import digest_of_text
from judge_serve.judging.errors import RefusedInputError
from judge_serve.serving.home import home
from optimize_workers.ledger import Ledger


@contextmanager
def open_ledger() -> Iterator[Ledger]:
    """The ledger at `RELEVANCE_JUDGE_STORE`, by default `ledger.db` in the home."""
    try:
        home().mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise RefusedInputError(f"RELEVANCE_JUDGE_HOME {home()} cannot be written ({error.strerror})") from error
    ledger = Ledger(os.environ.get("RELEVANCE_JUDGE_STORE") or f"sqlite:///{home() / 'ledger.db'}")
    try:
        yield ledger
    finally:
        ledger.close()


def study_journal(run_folder: Path) -> Path:
    """Where an optimizer keeps the journal of a run's study: in the home, one per run folder."""
    digest = digest_of_text(str(run_folder.resolve()))
    return home() / "studies" / f"{run_folder.name}-{digest[:12]}.journal"

"""Opening this user's stores: the ledger and releases by reference."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from cluster.registry import Registered, Registry
from judge_serve.judging.content_key import digest_of_text
from judge_serve.judging.errors import RefusedInputError
from judge_serve.judging.release import Release
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


def has_registry() -> bool:
    """Whether there is a registry already; asking an empty one would make it, which takes seconds."""
    return bool(os.environ.get("MLFLOW_TRACKING_URI")) or (home() / "mlflow.db").is_file()


def study_journal(run_folder: Path) -> Path:
    """Where an optimizer keeps the journal of a run's study: in the home, one per run folder."""
    digest = digest_of_text(str(run_folder.resolve()))
    return home() / "studies" / f"{run_folder.name}-{digest[:12]}.journal"


def resolve_release(reference: str, registry: Registry | None = None) -> Registered:
    """A release by path, digest prefix or alias; a file that the registry does not know has no gate result."""
    path = Path(reference)
    registry = registry or Registry(home())
    if path.suffix == ".json" and path.is_file():
        release = Release.from_file(path)
        return registry.register(release)
    return registry.resolve(reference)

"""Where a command writes: this user's ledger, and a run with its folder."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from cluster.progress import Progress
from cluster.runs.folder import RunFolder
from cluster.runs.versions import made_with
from judge_serve.judging.content_key import digest_of_text
from judge_serve.judging.errors import RefusedInputError
from judge_serve.judging.identity import ModelIdentity
from judge_serve.serving.home import home
from optimize_workers.dataset.splits import Dataset
from optimize_workers.ledger import Ledger, place_of


@dataclass(frozen=True)
class Run:
    """One execution of a command: where it writes, what it records, and who is told.

    Attributes:
        command: which one, as the ledger and the gate's record name it.
        is_resumed: whether it goes on with one that did not finish.
        lock: held until the run or its process ends, so that nobody else writes there.
    """

    command: str
    folder: RunFolder
    ledger: Ledger
    progress: Progress
    is_resumed: bool = False
    lock: FileLock | None = None

    def note_model(self, model: ModelIdentity) -> None:
        """Keep what answers in this run.

        Raises: RefusedInputError if the run is resumed and began with another model, or before it changed.
        """
        noted = [ModelIdentity.model_validate(one) for one in self.folder.noted_models()]
        if model in noted:
            return
        began = next((one for one in noted if one.name == model.name), None)
        if self.is_resumed and began is not None:
            changed = "it answers otherwise now" if began.in_scope(model.scope) == model else f"it is {model.words} now"
            raise RefusedInputError(
                f"--resume: the run in {self.folder.path} began with {began.words} (scope {began.scope}), and "
                f"{changed} (scope {model.scope}); its judgments would be of both, start a new run in another --out"
            )
        self.folder.note_models([one.model_dump(mode="json") for one in (*noted, model)])

    @property
    def study_journal(self) -> Path:
        """Where an optimizer keeps the journal of this run's study: in the home, one per run folder."""
        return home() / "studies" / f"{_place_of(self.folder.path)}.journal"

    @staticmethod
    def made_with() -> dict[str, Any]:
        """What a run that ends now was made with, see `versions.made_with`."""
        return made_with()

    def finish(self, result: dict[str, Any]) -> dict[str, Any]:
        """Write `result.json`, last of all files: its presence means that the run is complete; returns the content."""
        self.folder.write_json("result.json", result)
        if self.lock is not None:
            self.lock.release(force=True)
        return result


@contextmanager
def open_ledger() -> Iterator[Ledger]:
    """The ledger at `RELEVANCE_JUDGE_STORE`, by default `ledger.db` in the home."""
    try:
        home().mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise RefusedInputError(f"RELEVANCE_JUDGE_HOME {home()} cannot be written ({error.strerror})") from error
    ledger = Ledger(_ledger_url())
    try:
        yield ledger
    finally:
        ledger.close()


def has_ledger() -> bool:
    """Whether there is a ledger already; opening one makes it."""
    return bool(os.environ.get("RELEVANCE_JUDGE_STORE")) or (home() / "ledger.db").is_file()


def _ledger_url() -> str:
    return os.environ.get("RELEVANCE_JUDGE_STORE") or f"sqlite:///{home() / 'ledger.db'}"


def planned_run(out: Path | None, *, resume: bool = False) -> dict[str, Any]:
    """Where a run would write, as a plan shows it."""
    return {"out": str(out) if out else None, "resume": resume, "ledger": place_of(_ledger_url())}


def check_out(out: Path, saved: dict[str, Any], *, resume: bool = False) -> None:
    """Raise RefusedInputError if no run can begin in `out`, before anything is started; writes nothing."""
    RunFolder.check(out, saved if resume else None)


def begin_run(
    command: str, out: Path, saved: dict[str, Any], ledger: Ledger, progress: Progress, *, resume: bool = False
) -> Run:
    """Make the folder of a run and note it in the ledger, so that `ledger forget` finds its files.

    Args:
        command: what runs.
        out: the folder, checked before by `check_out`.
        saved: the config as the folder keeps it.
        ledger: open as long as the run judges.
        progress: told what goes on.
        resume: whether the run goes on with the unfinished one in `out`.

    Raises: RefusedInputError if another command writes there, and see `RunFolder.create`.
    """
    lock = _alone_in(out)
    folder = RunFolder.create(out, saved, resume=resume)
    ledger.record_run(str(folder.path.resolve()), command)
    return Run(command, folder, ledger, progress, is_resumed=resume, lock=lock)


def _alone_in(out: Path) -> FileLock:
    """The lock of a folder, in the home; the system frees it where a process is killed."""
    locks = home() / "runs"
    locks.mkdir(parents=True, exist_ok=True)
    lock = FileLock(locks / f"{_place_of(out)}.lock", timeout=0.0, thread_local=False, is_singleton=True)
    try:
        lock.acquire()
    except Timeout:
        raise RefusedInputError(f"another command writes into {out} now; choose another --out or wait for it") from None
    return lock


def _place_of(out: Path) -> str:
    """A name for a run's folder that no other has."""
    return f"{out.name}-{digest_of_text(str(out.resolve()))[:12]}"


def count_opening(dataset: Dataset, split: str, ledger: Ledger, command: str, run: Path | str) -> int:
    """Open a split, that of test on record; returns how often the test split of these data was opened so far.

    Args:
        dataset: whose split it is.
        split: any of its splits.
        ledger: where the opening is noted.
        command: what opens it.
        run: its folder, or what it looks at where there is none.
    """
    opened_by = str(run.resolve()) if isinstance(run, Path) else run
    dataset.open_split(split, lambda fingerprint: ledger.record_test_opening(fingerprint, command, opened_by))
    return openings_of(dataset, ledger)


def openings_of(dataset: Dataset, ledger: Ledger) -> int:
    """How often the test split of these data was opened so far."""
    # releases before 0.2 counted by the fingerprint of all rows
    return ledger.count_test_openings(dataset.test_fingerprint, dataset.fingerprint)

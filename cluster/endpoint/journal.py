"""The journal of deployments: what was meant, what is live, what was promoted; one deployment of a home at a time.

It is written before each step, so that a deployment that was killed says how far it came.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path

from filelock import FileLock, Timeout
from pydantic import BaseModel, ConfigDict, ValidationError

from judge_serve.judging.errors import RefusedInputError

FILE_NAME, LOCK_NAME = "deployment.json", "deployment.lock"
LOCK_S = 1.0  # longer than `is_busy` holds it


class Step(StrEnum):
    """How far a deployment came."""

    INTENDED = "intended"  # the endpoint may run either release
    LIVE = "live"  # it runs the new one, the registry may not say so yet
    PROMOTED = "promoted"  # both say so
    UNDONE = "undone"  # it failed, and the endpoint runs the release before again
    BROKEN = "broken"  # it failed, and so did putting the release before back


class Deployment(BaseModel):
    """The last deployment of a home.

    Attributes:
        release: id of what was to go live; `name` is its name in the registry.
        before: id of what ran before, None where nothing did.
        began_at: in UTC.
        reason: why it failed, if it did.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    release: str
    name: str
    before: str | None
    step: Step
    began_at: str
    reason: str | None = None

    def at(self, step: Step, reason: str | None = None) -> Deployment:
        """The same deployment, further on."""
        return self.model_copy(update={"step": step, "reason": reason})

    @property
    def is_unfinished(self) -> bool:
        """Whether it neither succeeded nor was undone; true while it runs, too."""
        return self.step in (Step.INTENDED, Step.LIVE, Step.BROKEN)


class Journal:
    """The file of a home in which its last deployment stands."""

    def __init__(self, home: Path) -> None:
        self._home = home

    def read(self) -> Deployment | None:
        """The last deployment; None where there was none or it cannot be read."""
        try:
            return Deployment.model_validate_json((self._home / FILE_NAME).read_text(encoding="utf-8"))
        except (OSError, ValidationError, UnicodeDecodeError):
            return None

    def write(self, deployment: Deployment) -> None:
        """Keep a deployment in place of the last one."""
        self._home.mkdir(parents=True, exist_ok=True)
        scratch = self._home / f".{FILE_NAME}.tmp"
        scratch.write_text(deployment.model_dump_json(indent=2), encoding="utf-8")
        scratch.rename(self._home / FILE_NAME)

    def clear(self) -> None:
        """Forget the last deployment: another endpoint starts."""
        (self._home / FILE_NAME).unlink(missing_ok=True)

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Deploy while nobody else does.

        Raises: RefusedInputError if somebody does.
        """
        self._home.mkdir(parents=True, exist_ok=True)
        lock = FileLock(self._home / LOCK_NAME, timeout=LOCK_S)
        try:
            lock.acquire()
        except Timeout:
            running = self.read()
            what = f" of release {running.release}, begun at {running.began_at}," if running else ""
            raise RefusedInputError(
                f"another deployment{what} is under way; wait until it ends ('relevance-judge status'), then deploy"
            ) from None
        try:
            yield
        finally:
            lock.release()

    def is_busy(self) -> bool:
        """Whether a deployment is under way."""
        if not (self._home / LOCK_NAME).exists():
            return False
        try:
            with FileLock(self._home / LOCK_NAME, timeout=0):
                return False
        except Timeout:
            return True

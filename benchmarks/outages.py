"""Outages on command: the next calls, a stretch of time, or as long as a file exists (for other processes)."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from judge_serve.judging.errors import RefusedInputError


class Outage(BaseModel):
    """How requests fail: what an endpoint would answer them."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    status: int = Field(503, ge=400, le=599)
    retry_after_s: float | None = Field(None, ge=0.0)
    message: str = "simulated outage"


class OutageSwitch:
    """Says whether a request meets an outage, and which.

    Args:
        clock: seconds since the epoch.
        file: while it exists every request fails, with the `Outage` that it holds as JSON (empty: the default).
    """

    def __init__(self, clock: Callable[[], float], file: Path | None = None) -> None:
        self._clock = clock
        self._file = file
        self._until = 0.0
        self._lasting = Outage()
        self._next: deque[Outage] = deque()

    def fail_for(self, seconds: float, outage: Outage) -> None:
        """Fail every request from now on, for some seconds."""
        self._until, self._lasting = self._clock() + seconds, outage

    def fail_next(self, num_calls: int, outage: Outage) -> None:
        """Fail the next requests that arrive."""
        self._next.extend([outage] * num_calls)

    def end(self) -> None:
        """End what was commanded here."""
        self._until = 0.0
        self._next.clear()

    def on_arrival(self) -> Outage | None:
        """The outage that a new request meets, if any; uses up one of `fail_next`."""
        return self._next.popleft() if self._next else self.under_way()

    def under_way(self) -> Outage | None:
        """The outage that holds now, if any; also asked when a request gets its slot and before it is answered."""
        if self._until and self._clock() < self._until:
            return self._lasting
        if self._file is not None and self._file.exists():
            return read_outage(self._file)
        return None


def read_outage(file: Path) -> Outage | None:
    """The outage that a file holds; None if it is gone.

    Raises: RefusedInputError if it holds something else.
    """
    try:
        text = file.read_text(encoding="utf-8")
    except FileNotFoundError:
        return None
    try:
        return Outage.model_validate_json(text) if text.strip() else Outage()
    except ValidationError as error:
        raise RefusedInputError(
            f"outage file {file} holds {text[:80]!r}; expected JSON such as {Outage().model_dump_json()}"
        ) from error


def write_outage(file: Path, outage: Outage) -> None:
    """Begin an outage for every process that watches the file; removing the file ends it."""
    draft = file.with_name(f"{file.name}.draft")
    draft.write_text(outage.model_dump_json(), encoding="utf-8")
    draft.replace(file)  # at once: no reader sees half an outage

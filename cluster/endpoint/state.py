"""What this user's `serve` runs, as a small file that other commands find it by."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import psutil
from pydantic import BaseModel, ConfigDict, ValidationError

from judge_serve.catalogue.served_model import ServedModel

FILE_NAME = "serve.json"
SAME_START_S = 2.0  # one process id is not given to two processes that start so close together


class Endpoint(BaseModel):
    """Where a judging application listens, the models that it serves, and what its processes need beside the node's."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    host: str
    port: int
    models: tuple[ServedModel, ...]
    runtime_env: dict[str, Any] = {}

    @property
    def url(self) -> str:
        """Root of the HTTP endpoint."""
        return f"http://{self.host}:{self.port}"

    def serves(self, model: ServedModel) -> bool:
        """Whether the same weights are served under the same name."""
        return any((m.name, m.revision, m.source) == (model.name, model.revision, model.source) for m in self.models)


class ServeState(Endpoint):
    """A running `serve`: beside its address and models its process, by id and `started_at`, and its Ray."""

    pid: int
    started_at: float
    ray_address: str


def write_state(home: Path, state: ServeState) -> None:
    """Announce a running `serve`."""
    home.mkdir(parents=True, exist_ok=True)
    scratch = home / f".{FILE_NAME}.tmp"
    scratch.write_text(state.model_dump_json(indent=2), encoding="utf-8")
    scratch.rename(home / FILE_NAME)


def clear_state(home: Path) -> None:
    """Withdraw the announcement."""
    (home / FILE_NAME).unlink(missing_ok=True)


def read_state(home: Path) -> ServeState | None:
    """The running `serve`, or None; a file left behind by a killed process counts as none."""
    try:
        state = ServeState.model_validate_json((home / FILE_NAME).read_text(encoding="utf-8"))
    except (OSError, ValidationError):
        return None
    began = started_at(state.pid)
    return state if began is not None and abs(began - state.started_at) < SAME_START_S else None


def started_at(pid: int) -> float | None:
    """When a process was started, in seconds; None if there is none. Tells a recycled id.

    On Linux it is counted from the boot: the time of day of a start moves when the clock is set. Elsewhere the system
    keeps the time of day as it was.
    """
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        pass  # no Linux, or no such process
    else:
        return int(stat.rpartition(")")[2].split()[19]) / os.sysconf("SC_CLK_TCK")  # field 22 of proc_pid_stat(5)
    try:
        return float(psutil.Process(pid).create_time())
    except psutil.NoSuchProcess:
        return None

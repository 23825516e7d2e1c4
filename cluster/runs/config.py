"""Configs of commands: frozen values, saved with each run; each command's own lives in the room that uses it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, StringConstraints

SPLIT_PATTERN = "^(train|val|test)$"
Reason = Annotated[str, StringConstraints(strip_whitespace=True, min_length=3)]  # blanks say nothing


class CommandConfig(BaseModel):
    """Base of all command configs."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class RunConfig(CommandConfig):
    """Base of commands with a run's folder that can be resumed: what was judged comes from the ledger."""

    out: Path
    resume: bool = False

    def saved(self) -> dict[str, Any]:
        """What the folder keeps and a resumed run must repeat."""
        return self.model_dump(mode="json", exclude={"resume"})

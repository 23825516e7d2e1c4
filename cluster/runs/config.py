"""Configs of commands: frozen values, saved with each run; each command's own lives in the room that uses it.

The description of a field is the help of its flag: see cluster/commands/options.py.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

Split = Literal["train", "val", "test"]
Reason = Annotated[str, StringConstraints(strip_whitespace=True, min_length=3)]  # blanks say nothing
LabelledData = Annotated[str, Field(description="Labelled data: file, folder or URI.")]
ReleaseReference = Annotated[str, Field(description="Release: id, alias or path.")]
ModelOfRelease = Annotated[
    str | None,
    Field(
        description="Where the release's model is: folder, http(s)://host/v1#name; by default where it answered last."
    ),
]
OverrideReason = Annotated[Reason | None, Field(description="Reason for overriding the gate; it is recorded.")]
ResumeFlag = Annotated[bool, Field(description="Go on with the unfinished run in --out; needs its config.")]


FreshFlag = Annotated[
    bool, Field(description="Ask everything again; what the ledger holds of the model does not answer any more.")
]


class CommandConfig(BaseModel):
    """Base of all command configs."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class RunConfig(CommandConfig):
    """Base of commands with a run's folder that can be resumed: what was judged comes from the ledger."""

    out: Path = Field(description="Folder of the run.")
    resume: ResumeFlag = False
    fresh: FreshFlag = False

    @property
    def asks_again(self) -> bool:
        """Whether everything is asked again; a run that goes on does so with what it asked."""
        return self.fresh and not self.resume

    def saved(self) -> dict[str, Any]:
        """What the folder keeps and a resumed run must repeat."""
        return self.model_dump(mode="json", exclude={"resume", "fresh"})

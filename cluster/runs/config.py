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
MaxInFlight = Annotated[
    int | None, Field(ge=4, description="Calls under way at an endpoint at once, at most; 64 by default.")
]
ResumeFlag = Annotated[bool, Field(description="Go on with the unfinished run in --out; needs its config.")]
MaxNotJudged = Annotated[
    int | None,
    Field(ge=0, description="Items that may stay not judged; by default 3, or one in a hundred if that is more."),
]


NOT_SAVED = {"resume", "fresh", "max_in_flight"}  # changes no result: a run may be resumed with another


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
    max_not_judged: MaxNotJudged = None
    fresh: FreshFlag = False

    @property
    def asks_again(self) -> bool:
        """Whether everything is asked again; a run that goes on does so with what it asked."""
        return self.fresh and not self.resume

    def saved(self) -> dict[str, Any]:
        """What the folder keeps and a resumed run must repeat."""
        return self.model_dump(mode="json", exclude=NOT_SAVED)

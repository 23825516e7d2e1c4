"""Config of `gate`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pydantic import Field, model_validator

from cluster.runs.config import (
    NOT_SAVED,
    CommandConfig,
    FreshFlag,
    LabelledData,
    MaxInFlight,
    MaxNotJudged,
    ModelOfRelease,
    ReleaseReference,
    ResumeFlag,
)
from optimize_workers.evidence.gate.config import GateConfig


class GateRunConfig(CommandConfig):
    """Config of `gate`."""

    data: LabelledData
    release: ReleaseReference
    against: str | None = Field(
        None, description="Release to compare with; by default the champion of its name, else its parent."
    )
    model: ModelOfRelease = None
    adversarial: bool = Field(True, description="Judge perturbed pairs too.")
    adversarial_examples: int = Field(40, ge=1, description="At most this many pairs of each adversarial kind.")
    limit: int | None = Field(None, ge=1, description="At most this many held-out examples; all by default.")
    rules: GateConfig = Field(GateConfig(), description="Limits of the gate.")
    out: Path | None = Field(None, description="Folder of the run; without it only the registry is written.")
    resume: ResumeFlag = False
    max_in_flight: MaxInFlight = None
    max_not_judged: MaxNotJudged = None
    fresh: FreshFlag = False

    @property
    def asks_again(self) -> bool:
        """Whether everything is asked again; a run that goes on does so with what it asked."""
        return self.fresh and not self.resume

    @model_validator(mode="after")
    def _check_resume(self) -> GateRunConfig:
        if self.resume and self.out is None:
            raise ValueError("--resume needs --out, the folder of the run that it goes on with")
        return self

    def saved(self) -> dict[str, Any]:
        """What the folder keeps and a resumed run must repeat."""
        return self.model_dump(mode="json", exclude=NOT_SAVED)

"""Config of `label`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pydantic import Field

from cluster.runs.config import (
    NOT_SAVED,
    CommandConfig,
    MaxInFlight,
    MaxNotJudged,
    ModelOfRelease,
    OverrideReason,
    ReleaseReference,
)


class LabelConfig(CommandConfig):
    """Config of `label`."""

    input: str = Field(description="Pairs: file, folder or URI.")
    release: ReleaseReference
    model: ModelOfRelease = None
    force: OverrideReason = None
    max_not_judged: MaxNotJudged = None
    out: Path = Field(description="Folder of the run.")
    max_in_flight: MaxInFlight = None

    def saved(self) -> dict[str, Any]:
        """What the folder keeps."""
        return self.model_dump(mode="json", exclude=NOT_SAVED)

"""Config of `bullets ablate`."""

from __future__ import annotations

from pydantic import Field

from cluster.runs.config import (
    CommandConfig,
    FreshFlag,
    LabelledData,
    MaxInFlight,
    MaxNotJudged,
    ModelOfRelease,
    ReleaseReference,
    Split,
)


class AblateConfig(CommandConfig):
    """Config of `bullets ablate`."""

    data: LabelledData
    release: ReleaseReference
    model: ModelOfRelease = None
    split: Split = Field("val", description="Split to judge.")
    max_not_judged: MaxNotJudged = None
    limit: int | None = Field(None, ge=1, description="At most this many examples, drawn by a fixed seed.")
    max_in_flight: MaxInFlight = None
    fresh: FreshFlag = False

"""Config of `bullets ablate`."""

from __future__ import annotations

from pydantic import Field

from cluster.runs.config import CommandConfig, FreshFlag, LabelledData, ModelOfRelease, ReleaseReference, Split


class AblateConfig(CommandConfig):
    """Config of `bullets ablate`."""

    data: LabelledData
    release: ReleaseReference
    model: ModelOfRelease = None
    split: Split = Field("val", description="Split to judge.")
    limit: int | None = Field(None, ge=1, description="At most this many examples, drawn by a fixed seed.")
    fresh: FreshFlag = False

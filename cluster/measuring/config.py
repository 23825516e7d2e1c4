"""Config of `bullets ablate`."""

from __future__ import annotations

from pydantic import Field

from cluster.runs.config import SPLIT_PATTERN, CommandConfig


class AblateConfig(CommandConfig):
    """Config of `bullets ablate`; `model` says where the model of the release is, needed for a folder only."""

    data: str
    release: str
    model: str | None = None
    split: str = Field("val", pattern=SPLIT_PATTERN)
    limit: int | None = Field(None, ge=1)

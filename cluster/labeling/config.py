"""Config of `label`."""

from __future__ import annotations

from pathlib import Path

from cluster.runs.config import CommandConfig, Reason


class LabelConfig(CommandConfig):
    """Config of `label`; `model` says where the model of the release is, needed for a folder only."""

    input: str
    release: str
    model: str | None = None
    force: Reason | None = None
    out: Path

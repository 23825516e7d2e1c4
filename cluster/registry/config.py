"""Configs of `releases show`, `diff`, `export` and `import`."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field

from cluster.runs.config import CommandConfig


class ShowReleaseConfig(CommandConfig):
    """Config of `releases show`; `card` shows the model card in place of the document."""

    release: str
    card: bool = False


class DiffReleasesConfig(CommandConfig):
    """Config of `releases diff`."""

    first: str
    second: str


class ExportReleaseConfig(CommandConfig):
    """Config of `releases export`."""

    release: str
    out: Path = Field(description="a file that is not there yet")


class ImportReleaseConfig(CommandConfig):
    """Config of `releases import`."""

    path: Path

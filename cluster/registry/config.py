"""Configs of `releases show`, `diff`, `export` and `import`."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field

from cluster.runs.config import CommandConfig, ReleaseReference


class ShowReleaseConfig(CommandConfig):
    """Config of `releases show`."""

    release: ReleaseReference
    card: bool = Field(False, description="Print the model card, in Markdown.")


class DiffReleasesConfig(CommandConfig):
    """Config of `releases diff`."""

    first: ReleaseReference
    second: ReleaseReference


class ExportReleaseConfig(CommandConfig):
    """Config of `releases export`."""

    release: ReleaseReference
    out: Path = Field(description="File to write; it must not exist.")


class ImportReleaseConfig(CommandConfig):
    """Config of `releases import`."""

    path: Path = Field(description="A file that 'releases export' wrote, or a release.json.")

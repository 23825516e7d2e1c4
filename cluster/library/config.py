"""Configs of `bullets list`, `export`, `import`, `remove` and `distill`."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field

from cluster.runs.config import CommandConfig


class LibraryConfig(CommandConfig):
    """Config of `bullets list`."""

    all_splits: bool = Field(False, description="Also what was learned from val and test pairs.")


class ExportBulletsConfig(LibraryConfig):
    """Config of `bullets export`."""

    path: Path = Field(description="A .jsonl file to write; it must not exist.")


class ImportBulletsConfig(CommandConfig):
    """Config of `bullets import`."""

    path: Path = Field(description=".jsonl, or text with one bullet a line.")


class RemoveBulletsConfig(CommandConfig):
    """Config of `bullets remove`."""

    ids: tuple[str, ...] = Field(min_length=1, description="Ids of bullets, as 'bullets list' shows them.")


class DistillConfig(CommandConfig):
    """Config of `bullets distill`."""

    run: Path = Field(description="Folder of a reviewed run.")
    reflection_model: str | None = Field(None, description="Model that writes the bullets, as --model of 'optimize'.")
    labels: bool = Field(False, description="Also the labels' own reasons.")
    limit: int = Field(50, ge=1, description="Disagreements whose labels' reasons are taken.")

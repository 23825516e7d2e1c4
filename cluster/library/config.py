"""Configs of `bullets list`, `export`, `import`, `remove` and `distill`."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field

from cluster.runs.config import CommandConfig


class LibraryConfig(CommandConfig):
    """Config of `bullets list`; `all_splits` takes in what was learned from val and test pairs."""

    all_splits: bool = False


class ExportBulletsConfig(LibraryConfig):
    """Config of `bullets export`."""

    path: Path = Field(description="a .jsonl file that is not there yet")


class ImportBulletsConfig(CommandConfig):
    """Config of `bullets import`."""

    path: Path


class RemoveBulletsConfig(CommandConfig):
    """Config of `bullets remove`; `ids` as `bullets list` shows them."""

    ids: tuple[str, ...] = Field(min_length=1)


class DistillConfig(CommandConfig):
    """Config of `bullets distill`; `labels` takes in the labels' own reasons, of `limit` disagreements at most."""

    run: Path
    reflection_model: str | None = None
    labels: bool = False
    limit: int = Field(50, ge=1)

"""The commands `bullets`: what becomes of the guidelines that judges are given."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from cluster.commands.running import AsJson, ConfigFile, DryRun, run_command

bullets_app = typer.Typer(
    name="bullets",
    help="Guidelines that judges are given: the library, distilling explanations, what each of them does today.",
    no_args_is_help=True,
)

AllSplits = Annotated[bool, typer.Option("--all-splits", help="Also what was learned from val and test pairs.")]


@bullets_app.command()
def ablate(
    data: Annotated[str | None, typer.Argument(help="Labelled data: file, folder or URI.")] = None,
    release: Annotated[str | None, typer.Option(help="Release: id, alias or path.")] = None,
    model: Annotated[str | None, typer.Option(help="Where the release's model is, for a model folder.")] = None,
    split: Annotated[str | None, typer.Option(help="train, val (the default) or test.")] = None,
    limit: Annotated[int | None, typer.Option(help="At most this many examples, drawn by a fixed seed.")] = None,
    as_json: AsJson = False,
    config: ConfigFile = None,
    dry_run: DryRun = False,
) -> None:
    """Effect of each bullet of a release, held against the release without it."""
    from cluster.commands.tables import ablation_table
    from cluster.measuring.ablation import run_ablate
    from cluster.measuring.config import AblateConfig

    flags = {"data": data, "release": release, "model": model, "split": split, "limit": limit}
    run_command(AblateConfig, flags, config, dry_run, as_json, run_ablate, ablation_table)


@bullets_app.command(name="list")
def list_bullets(
    all_splits: AllSplits = False, as_json: AsJson = False, config: ConfigFile = None, dry_run: DryRun = False
) -> None:
    """The bullets that people accepted or imported."""
    from cluster.commands.tables import bullets_table
    from cluster.library.bullets import run_list
    from cluster.library.config import LibraryConfig

    flags = {"all_splits": all_splits or None}
    run_command(LibraryConfig, flags, config, dry_run, as_json, run_list, bullets_table)


@bullets_app.command()
def export(
    path: Annotated[Path | None, typer.Argument(help="A .jsonl file to write; it must not exist.")] = None,
    all_splits: AllSplits = False,
    as_json: AsJson = False,
    config: ConfigFile = None,
    dry_run: DryRun = False,
) -> None:
    """Write the bullets to a file, those that say the same once."""
    from cluster.commands.tables import plain_table
    from cluster.library.bullets import run_export
    from cluster.library.config import ExportBulletsConfig

    flags = {"path": path, "all_splits": all_splits or None}
    run_command(ExportBulletsConfig, flags, config, dry_run, as_json, run_export, plain_table)


@bullets_app.command(name="import")
def import_bullets(
    path: Annotated[Path | None, typer.Argument(help=".jsonl, or text with one bullet a line.")] = None,
    as_json: AsJson = False,
    config: ConfigFile = None,
    dry_run: DryRun = False,
) -> None:
    """Take the bullets of a file into the library."""
    from cluster.commands.tables import plain_table
    from cluster.library.bullets import run_import
    from cluster.library.config import ImportBulletsConfig

    run_command(ImportBulletsConfig, {"path": path}, config, dry_run, as_json, run_import, plain_table)


@bullets_app.command()
def remove(
    ids: Annotated[list[str] | None, typer.Argument(help="Ids of bullets, as 'bullets list' shows them.")] = None,
    as_json: AsJson = False,
    config: ConfigFile = None,
    dry_run: DryRun = False,
) -> None:
    """Take bullets out of the library; accepting or importing them again brings them back."""
    from cluster.commands.tables import removed_table
    from cluster.library.bullets import run_remove
    from cluster.library.config import RemoveBulletsConfig

    run_command(RemoveBulletsConfig, {"ids": ids or None}, config, dry_run, as_json, run_remove, removed_table)


@bullets_app.command()
def distill(
    run: Annotated[Path | None, typer.Argument(help="Folder of a reviewed run.")] = None,
    reflection_model: Annotated[str | None, typer.Option(help="Model that writes the bullets, as --model.")] = None,
    labels: Annotated[bool, typer.Option("--labels", help="Also the labels' own reasons.")] = False,
    limit: Annotated[int | None, typer.Option(help="Disagreements whose labels' reasons are taken; 50.")] = None,
    as_json: AsJson = False,
    config: ConfigFile = None,
    dry_run: DryRun = False,
) -> None:
    """Propose bullets made of a run's explanations; people accept them on the review page."""
    from cluster.commands.tables import distilled_table
    from cluster.library.config import DistillConfig
    from cluster.library.distill import run_distill

    flags: dict[str, Any] = {"run": run, "reflection_model": reflection_model, "labels": labels or None, "limit": limit}
    run_command(DistillConfig, flags, config, dry_run, as_json, run_distill, distilled_table)

"""The commands `bullets`: what becomes of the guidelines that judges are given."""

from __future__ import annotations

from typing import Annotated

import typer

from cluster.running import AsJson, ConfigFile, DryRun, run_command

bullets_app = typer.Typer(
    name="bullets", help="Guidelines that judges are given: what each of them does today.", no_args_is_help=True
)


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
    from cluster.ablation import run_ablate
    from cluster.configs import AblateConfig
    from cluster.tables import ablation_table

    flags = {"data": data, "release": release, "model": model, "split": split, "limit": limit}
    run_command(AblateConfig, flags, config, dry_run, as_json, run_ablate, ablation_table)

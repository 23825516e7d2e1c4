"""The commands `releases`: what is registered, what differs, moving releases between machines."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from cluster.commands.running import AsJson, ConfigFile, DryRun, run_command
from cluster.runs.config import CommandConfig

releases_app = typer.Typer(
    name="releases",
    help="Releases of the registry: what they are, what the gate says of them, moving them between machines.",
    no_args_is_help=True,
)
ReleaseArgument = Annotated[str | None, typer.Argument(help="Release: id, alias or path.")]


@releases_app.command(name="list")
def list_releases(as_json: AsJson = False, config: ConfigFile = None, dry_run: DryRun = False) -> None:
    """All releases, newest first."""
    from cluster.commands.release_tables import releases_table
    from cluster.registry.listing import run_list_releases

    run_command(CommandConfig, {}, config, dry_run, as_json, run_list_releases, releases_table)


@releases_app.command()
def show(
    release: ReleaseArgument = None,
    card: Annotated[bool, typer.Option("--card", help="Print the model card, in Markdown.")] = False,
    as_json: AsJson = False,
    config: ConfigFile = None,
    dry_run: DryRun = False,
) -> None:
    """One release: its judge, evidence, gate results and overrides."""
    from cluster.commands.release_tables import release_table
    from cluster.registry.config import ShowReleaseConfig
    from cluster.registry.listing import run_show_release

    flags: dict[str, Any] = {"release": release, "card": card or None}
    run_command(ShowReleaseConfig, flags, config, dry_run, as_json, run_show_release, release_table)


@releases_app.command()
def diff(
    first: ReleaseArgument = None,
    second: ReleaseArgument = None,
    as_json: AsJson = False,
    config: ConfigFile = None,
    dry_run: DryRun = False,
) -> None:
    """What differs between two releases, prompts word by word."""
    from cluster.commands.release_tables import difference_table
    from cluster.registry.config import DiffReleasesConfig
    from cluster.registry.listing import run_diff_releases

    flags = {"first": first, "second": second}
    run_command(DiffReleasesConfig, flags, config, dry_run, as_json, run_diff_releases, difference_table)


@releases_app.command()
def export(
    release: ReleaseArgument = None,
    out: Annotated[Path | None, typer.Option("--out", help="File to write; it must not exist.")] = None,
    as_json: AsJson = False,
    config: ConfigFile = None,
    dry_run: DryRun = False,
) -> None:
    """Write a release with its gate result to a file, for `releases import` elsewhere."""
    from cluster.commands.tables import plain_table
    from cluster.registry.config import ExportReleaseConfig
    from cluster.registry.moving import run_export_release

    flags: dict[str, Any] = {"release": release, "out": out}
    run_command(ExportReleaseConfig, flags, config, dry_run, as_json, run_export_release, plain_table)


@releases_app.command(name="import")
def import_release(
    path: Annotated[Path | None, typer.Argument(help="A file that export wrote, or a release.json.")] = None,
    as_json: AsJson = False,
    config: ConfigFile = None,
    dry_run: DryRun = False,
) -> None:
    """Register the release of a file, its gate result marked as imported."""
    from cluster.commands.tables import plain_table
    from cluster.registry.config import ImportReleaseConfig
    from cluster.registry.moving import run_import_release

    run_command(ImportReleaseConfig, {"path": path}, config, dry_run, as_json, run_import_release, plain_table)

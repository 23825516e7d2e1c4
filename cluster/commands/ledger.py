"""The commands `ledger stats`, `prune`, `export` and `forget`: what is stored, and deleting it."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated, Any

import typer
from pydantic import Field, field_validator

from cluster.commands.running import AsJson, ConfigFile, DryRun, run_command
from cluster.progress import Progress
from cluster.runs.config import CommandConfig
from judge_serve.judging.errors import RefusedInputError

MAX_AGE = timedelta(days=36_500)
_AGE = re.compile(r"([1-9][0-9]{0,8})([mhd])")
_UNITS = {"m": "minutes", "h": "hours", "d": "days"}

ledger_app = typer.Typer(
    name="ledger", help="What is stored: figures, pruning, export, forgetting a document.", no_args_is_help=True
)


class PruneConfig(CommandConfig):
    """Config of `ledger prune`; `older_than` is an age such as 30m, 12h or 90d."""

    older_than: str
    model: str | None = Field(None, min_length=1)

    @field_validator("older_than")
    @classmethod
    def _is_an_age(cls, value: str) -> str:
        age_of(value)
        return value


class ExportConfig(CommandConfig):
    """Config of `ledger export`."""

    path: Path = Field(description="a .parquet file that is not there yet")


class ForgetConfig(CommandConfig):
    """Config of `ledger forget`."""

    doc_id: str = Field(min_length=1)


@ledger_app.command()
def stats(as_json: AsJson = False, config: ConfigFile = None, dry_run: DryRun = False) -> None:
    """What the ledger holds: judgments, tokens, reflections, runs, size."""
    from cluster.commands.tables import ledger_table
    from cluster.runs.run import open_ledger

    def run(_config: CommandConfig, _progress: Progress) -> dict[str, Any]:
        with open_ledger() as ledger:
            return ledger.stats()

    run_command(CommandConfig, {}, config, dry_run, as_json, run, ledger_table)


@ledger_app.command()
def prune(
    older_than: Annotated[str | None, typer.Option(help="Age such as 30m, 12h or 90d.")] = None,
    model: Annotated[str | None, typer.Option(help="Of this model only, by its name in 'ledger stats'.")] = None,
    as_json: AsJson = False,
    config: ConfigFile = None,
    dry_run: DryRun = False,
) -> None:
    """Delete judgments and reflections of a certain age; what is asked again is judged again."""
    from cluster.commands.tables import plain_table
    from cluster.runs.run import open_ledger

    def run(config: PruneConfig, _progress: Progress) -> dict[str, Any]:
        before = datetime.now(UTC) - age_of(config.older_than)
        with open_ledger() as ledger:
            return {"deleted": ledger.prune(before=before, model=config.model), "before": before.isoformat()}

    run_command(PruneConfig, {"older_than": older_than, "model": model}, config, dry_run, as_json, run, plain_table)


@ledger_app.command()
def export(
    path: Annotated[Path | None, typer.Argument(help="Parquet file to write; it must not exist.")] = None,
    as_json: AsJson = False,
    config: ConfigFile = None,
    dry_run: DryRun = False,
) -> None:
    """Write all judgments to a Parquet file."""
    from cluster.commands.tables import plain_table

    run_command(ExportConfig, {"path": path}, config, dry_run, as_json, _export, plain_table)


@ledger_app.command()
def forget(
    doc_id: Annotated[str | None, typer.Option(help="Document whose texts are deleted; figures stay.")] = None,
    as_json: AsJson = False,
    config: ConfigFile = None,
    dry_run: DryRun = False,
) -> None:
    """Delete a document's texts from the ledger and the folders of its runs."""
    from cluster.commands.tables import forget_table
    from cluster.runs.forgetting import forget_document
    from cluster.runs.run import open_ledger
    from judge_serve.serving.home import home

    def run(config: ForgetConfig, _progress: Progress) -> dict[str, Any]:
        with open_ledger() as ledger:
            return forget_document(config.doc_id, ledger, home())

    run_command(ForgetConfig, {"doc_id": doc_id}, config, dry_run, as_json, run, forget_table)


def age_of(text: str) -> timedelta:
    """The time span of 30m (minutes), 12h (hours) or 90d (days).

    Raises: ValueError for anything else, and beyond a hundred years.
    """
    found = _AGE.fullmatch(text)
    age = timedelta(**{_UNITS[found[2]]: int(found[1])}) if found else None
    if age is None or age > MAX_AGE:
        raise ValueError(f"expected an age such as 30m, 12h or 90d, found {text!r}")
    return age


def _export(config: ExportConfig, _progress: Progress) -> dict[str, Any]:
    from cluster.runs.run import open_ledger

    path = config.path
    if path.suffix != ".parquet":
        raise RefusedInputError(f"{path}: expected a name that ends in .parquet")
    if path.exists():
        raise RefusedInputError(f"{path} exists; choose another name or remove it")
    try:
        with open_ledger() as ledger:
            return {"judgments": ledger.export(path), "path": str(path)}
    except OSError as error:
        raise RefusedInputError(f"{path} cannot be written ({error.strerror or error}); choose another") from error

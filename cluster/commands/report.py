"""The command `report`: the report of a finished run, written anew."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from cluster.commands.running import AsJson, ConfigFile, DryRun, run_command
from cluster.progress import Progress
from cluster.runs.config import CommandConfig
from judge_serve.judging.errors import RefusedInputError


class ReportConfig(CommandConfig):
    """Config of `report`; without `out` the run's own `report.html` is replaced, and `figures.json` beside it."""

    run: Path
    out: Path | None = None


def report(
    run: Annotated[Path | None, typer.Argument(help="Folder of a run of evaluate, optimize or demo.")] = None,
    out: Annotated[Path | None, typer.Option(help="File to write; report.html of the run by default.")] = None,
    as_json: AsJson = False,
    config: ConfigFile = None,
    dry_run: DryRun = False,
) -> None:
    """Write the HTML report of a finished run anew."""
    from cluster.commands.tables import plain_table

    run_command(ReportConfig, {"run": run, "out": out}, config, dry_run, as_json, run_report, plain_table)


def run_report(config: ReportConfig, progress: Progress) -> dict[str, Any]:
    """Read the run back and write its report; returns where it is and its size in bytes."""
    from cluster.report import write_report
    from cluster.runs.folder import RunFolder

    try:
        written = write_report(RunFolder(config.run), out=config.out)
    except OSError as error:
        path = config.out or config.run
        raise RefusedInputError(f"{path} cannot be written ({error.strerror}); choose another --out") from error
    return {"run": str(config.run.resolve()), "report": str(written), "bytes": written.stat().st_size}

"""`report`: the report of a finished run, written anew."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field

from cluster.commands.printing import print_fields
from cluster.commands.running import Command, Result
from cluster.progress import Progress
from cluster.runs.config import CommandConfig
from judge_serve.judging.errors import RefusedInputError


class ReportConfig(CommandConfig):
    """Config of `report`."""

    run: Path = Field(description="Folder of a run of evaluate, optimize or demo.")
    out: Path | None = Field(
        None, description="File to write, figures.json beside it; report.html of the run by default."
    )


def run_report(config: ReportConfig, _progress: Progress) -> Result:
    """Read the run back and write its report; returns where it is and its size in bytes."""
    from cluster.report import write_report
    from cluster.runs.folder import RunFolder

    try:
        written = write_report(RunFolder(config.run), out=config.out)
    except OSError as error:
        path = config.out or config.run
        raise RefusedInputError(f"{path} cannot be written ({error.strerror}); choose another --out") from error
    return {"run": str(config.run.resolve()), "report": str(written), "bytes": written.stat().st_size}


COMMAND = Command(ReportConfig, run_report, print_fields, positional=("run",))

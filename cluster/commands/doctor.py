"""`doctor`: looks at this machine and says what to fix."""

from __future__ import annotations

from pydantic import Field
from rich.table import Table

from cluster.commands.printing import print_plain
from cluster.commands.running import EXIT_DONE, EXIT_FAILED, Command, Result
from cluster.progress import Progress
from cluster.runs.config import CommandConfig


class DoctorConfig(CommandConfig):
    """Config of `doctor`."""

    prepare: bool = Field(False, description="Make the embedded model's folder first.")


def run(config: DoctorConfig, _progress: Progress) -> Result:
    """Make all checks."""
    from cluster.machine.doctor import run_doctor

    return run_doctor(prepare=config.prepare)


def show(result: Result) -> None:
    """One line per check."""
    table = Table("check", "", "found", "what to do")
    for check in result["checks"]:
        table.add_row(check["name"], "ok" if check["is_ok"] else "FIX", check["found"], check["advice"])
    print_plain(table)


def status(result: Result) -> int:
    """A failure unless all is well."""
    return EXIT_DONE if result["ok"] else EXIT_FAILED


COMMAND = Command(DoctorConfig, run, show, status=status)

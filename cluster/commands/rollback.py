"""`rollback`: back to the champion before the current one."""

from __future__ import annotations

from cluster.commands.printing import print_fields
from cluster.commands.running import Command, Result
from cluster.progress import Progress
from cluster.runs.config import CommandConfig


def run(_config: CommandConfig, progress: Progress) -> Result:
    """Deploy the champion before."""
    from cluster.endpoint.deploy import run_rollback

    return run_rollback(progress)


COMMAND = Command(CommandConfig, run, print_fields)

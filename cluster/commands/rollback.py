"""`rollback`: back to the champion before the current one."""

from __future__ import annotations

from cluster.commands.printing import print_fields
from cluster.commands.running import Command, Result
from cluster.endpoint.config import RollbackConfig
from cluster.progress import Progress


def run(config: RollbackConfig, progress: Progress) -> Result:
    """Deploy the champion before."""
    from cluster.endpoint.deploy import run_rollback

    return run_rollback(config, progress)


def plan(config: RollbackConfig) -> Result:
    """What `run` would do."""
    from cluster.endpoint.deploy import plan_rollback

    return plan_rollback(config)


COMMAND = Command(RollbackConfig, run, print_fields, plan=plan)

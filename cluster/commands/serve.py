"""`serve`: a judge over HTTP."""

from __future__ import annotations

from cluster.commands.printing import print_fields
from cluster.commands.running import Command, Result
from cluster.endpoint.config import ServeConfig
from cluster.progress import Progress


def run(config: ServeConfig, progress: Progress) -> Result:
    """Serve until Ctrl-C."""
    from cluster.endpoint.serve import run_serve

    return run_serve(config, progress)


def plan(config: ServeConfig) -> Result:
    """What `run` would do."""
    from cluster.endpoint.serve import plan_serve

    return plan_serve(config)


COMMAND = Command(ServeConfig, run, print_fields, plan=plan)

"""`deploy`: a release becomes the champion of the running endpoint."""

from __future__ import annotations

from cluster.commands.printing import print_fields
from cluster.commands.running import Command, Result
from cluster.endpoint.config import DeployConfig
from cluster.progress import Progress


def run(config: DeployConfig, progress: Progress) -> Result:
    """Deploy and promote."""
    from cluster.endpoint.deploy import run_deploy

    return run_deploy(config, progress)


def plan(config: DeployConfig) -> Result:
    """What `run` would do."""
    from cluster.endpoint.deploy import plan_deploy

    return plan_deploy(config)


COMMAND = Command(DeployConfig, run, print_fields, positional=("release",), plan=plan)

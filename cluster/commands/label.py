"""`label`: pairs labelled with a release."""

from __future__ import annotations

from cluster.commands.printing import print_fields
from cluster.commands.running import Command, Result
from cluster.labeling.config import LabelConfig
from cluster.progress import Progress


def run(config: LabelConfig, progress: Progress) -> Result:
    """Label into Parquet shards."""
    from cluster.labeling.bulk import run_label

    return run_label(config, progress)


def plan(config: LabelConfig) -> Result:
    """What `run` would do."""
    from cluster.labeling.bulk import plan_label

    return plan_label(config)


COMMAND = Command(LabelConfig, run, print_fields, positional=("input",), plan=plan)

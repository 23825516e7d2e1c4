"""The command `gate`: whether a release may be deployed and may label."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from cluster.commands.running import EXIT_GATE, AsJson, ConfigFile, DryRun, Resume, run_command
from cluster.gating.config import GateRunConfig


def gate(
    data: Annotated[str | None, typer.Argument(help="Labelled data: file, folder or URI.")] = None,
    release: Annotated[str | None, typer.Option(help="Release: id, alias or path.")] = None,
    against: Annotated[
        str | None, typer.Option(help="Release to compare with; champion, else parent, by default.")
    ] = None,
    model: Annotated[str | None, typer.Option(help="Where the release's model is, for a model folder.")] = None,
    adversarial: Annotated[bool | None, typer.Option(help="Judge perturbed pairs too; on by default.")] = None,
    limit: Annotated[int | None, typer.Option(help="At most this many held-out examples; all by default.")] = None,
    out: Annotated[
        Path | None, typer.Option("--out", help="Folder of the run; without it only the registry is written.")
    ] = None,
    resume: Resume = False,
    as_json: AsJson = False,
    config: ConfigFile = None,
    dry_run: DryRun = False,
) -> None:
    """Hold a release against the rules on the test split; status 3 if it may not be deployed."""
    from cluster.commands.tables import gate_table
    from cluster.gating.gate import run_gate

    flags: dict[str, Any] = {"data": data, "release": release, "against": against, "model": model, "out": out}
    flags |= {"adversarial": adversarial, "limit": limit, "resume": resume or None}
    result = run_command(GateRunConfig, flags, config, dry_run, as_json, run_gate, gate_table)
    if result is not None and not result["gate"]["passed"]:
        raise typer.Exit(EXIT_GATE)

"""The command `calibrate`."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from cluster.commands.running import AsJson, ConfigFile, DryRun, Resume, run_command
from judge_serve.judging.judgment import AnswerMode


class MethodName(StrEnum):
    """Ways to choose a calibration."""

    AUTO = "auto"
    AFFINE = "affine"
    ISOTONIC = "isotonic"
    NONE = "none"


def calibrate(
    data: Annotated[str | None, typer.Argument(help="Labelled data: file, folder or URI.")] = None,
    judge: Annotated[Path | None, typer.Option("--judge", help="Judge file (TOML).")] = None,
    model: Annotated[str | None, typer.Option("--model", help="As in 'evaluate'.")] = None,
    release: Annotated[str | None, typer.Option(help="Calibrate a release: id, alias or path.")] = None,
    mode: Annotated[AnswerMode | None, typer.Option("--mode", help="How a rating is read.")] = None,
    method: Annotated[MethodName | None, typer.Option(help="auto: the best by cross-validation on train.")] = None,
    limit: Annotated[int | None, typer.Option(help="At most this many examples of train and of test.")] = None,
    out: Annotated[Path | None, typer.Option("--out", help="Folder of the run.")] = None,
    resume: Resume = False,
    as_json: AsJson = False,
    config: ConfigFile = None,
    dry_run: DryRun = False,
) -> None:
    """Fit a calibration on the training split, prove it on the test split, register the calibrated release."""
    from cluster.adapting.calibration import run_calibrate
    from cluster.adapting.config import CalibrateConfig
    from cluster.commands.tables import calibrate_table

    flags: dict[str, Any] = {"data": data, "judge": judge, "model": model, "release": release, "mode": mode}
    flags |= {"method": method and str(method), "limit": limit, "out": out, "resume": resume or None}
    run_command(CalibrateConfig, flags, config, dry_run, as_json, run_calibrate, calibrate_table)

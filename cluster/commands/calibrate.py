"""`calibrate`: a calibration fitted on train, proven on test."""

from __future__ import annotations

from cluster.adapting.config import CalibrateConfig
from cluster.commands.printing import print_plain
from cluster.commands.running import Command, Result
from cluster.commands.tables import print_calibration, print_comparison, print_figures, print_gate, print_ratings
from cluster.progress import Progress


def run(config: CalibrateConfig, progress: Progress) -> Result:
    """Fit, prove and register."""
    from cluster.adapting.calibration import run_calibrate

    return run_calibrate(config, progress)


def plan(config: CalibrateConfig) -> Result:
    """What `run` would do."""
    from cluster.adapting.calibration import plan_calibrate

    return plan_calibrate(config)


def show(result: Result) -> None:
    """The figures before and after, how the calibration was chosen, and the gate's answer."""
    judges = [("uncalibrated", result["baseline"]), ("calibrated", result["winner"])]
    print_figures(f"{result['winner']['dataset']['n']} held-out pairs", judges)
    print_comparison(result["comparison"])
    print_calibration(result["calibration"])
    print_ratings("calibrated", result["winner"])
    print_plain(
        f"release {result['release']}, {result['calls']} judge calls, {result['cached']} answered by the ledger"
    )
    print_gate(result["gate"])


COMMAND = Command(CalibrateConfig, run, show, positional=("data",), plan=plan)

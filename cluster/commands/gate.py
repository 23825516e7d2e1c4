"""`gate`: whether a release may be deployed and may label."""

from __future__ import annotations

from typing import Any

from rich.table import Table

from cluster.commands.printing import print_plain
from cluster.commands.running import EXIT_DONE, EXIT_GATE, Command, Result
from cluster.commands.tables import print_figures, print_gate, print_ratings
from cluster.gating.config import GateRunConfig
from cluster.progress import Progress


def run(config: GateRunConfig, progress: Progress) -> Result:
    """Ask the gate."""
    from cluster.gating.gate import run_gate

    return run_gate(config, progress)


def plan(config: GateRunConfig) -> Result:
    """What `run` would do."""
    from cluster.gating.gate import plan_gate

    return plan_gate(config)


def show(result: Result) -> None:
    """The figures of the release and of what it was held against, and every rule."""
    held = result["against"]["release"]
    judges = [(f"{result['against']['role']} {held}", result["baseline"])] if held else []
    judges.append((f"release {result['release']}", result["winner"]))
    print_figures(f"{result['winner']['dataset']['n']} held-out pairs", judges)
    if not held:
        print_plain(f"no other judge: {result['against']['role']}")
    print_ratings("release", result["winner"])
    if result["adversarial"]:
        print_plain(_rating_shifts_table(result["adversarial"]))
    print_gate(result["gate"])


def _rating_shifts_table(rating_shifts: list[dict[str, Any]]) -> Table:
    table = Table("perturbed pairs", "should", title="mean shift of ratings", title_justify="left")
    for name in ("pairs", "invalid", "shift", "95 % interval", "moved by 1"):
        table.add_column(name, justify="right")
    for shift in rating_shifts:
        row = [shift["kind"], shift["expected"].replace("_", " "), str(shift["n"]), str(shift["invalid"])]
        mean, interval, moved = shift["mean_shift"], shift["ci95"], shift["moved_share"]
        row += ["-" if mean is None else f"{mean:+.2f}"]
        row += [f"{interval[0]:+.2f} to {interval[1]:+.2f}" if interval else "-"]
        row += ["-" if moved is None else f"{moved:.0%}"]
        table.add_row(*row)
    return table


def status(result: Result) -> int:
    """Of a refusal another one."""
    return EXIT_DONE if result["gate"]["passed"] else EXIT_GATE


COMMAND = Command(GateRunConfig, run, show, positional=("data",), status=status, plan=plan)

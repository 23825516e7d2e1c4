"""`optimize`: one search for a better prompt."""

from __future__ import annotations

from typing import Any

from rich.table import Table
from rich.text import Text

from cluster.adapting.config import OptimizeConfig
from cluster.commands.printing import print_plain
from cluster.commands.running import Command, Result
from cluster.commands.tables import (
    human_line,
    print_calibration,
    print_comparison,
    print_figures,
    print_gate,
    print_ratings,
)
from cluster.progress import Progress


def run(config: OptimizeConfig, progress: Progress) -> Result:
    """Search, prove and register."""
    from cluster.adapting.optimize import run_optimize

    return run_optimize(config, progress)


def plan(config: OptimizeConfig) -> Result:
    """What `run` would do."""
    from cluster.adapting.optimize import plan_optimize

    return plan_optimize(config)


def show(result: Result) -> None:
    """The before/after table and the gate's answer."""
    judges = [("baseline", result["baseline"]), (f"winner ({result['optimizer']})", result["winner"])]
    print_figures(f"{result['winner']['dataset']['n']} held-out pairs", judges)
    print_comparison(result["comparison"])
    if result.get("luck"):
        print_plain(luck_line(result["luck"]))
    if "human" in result:
        print_plain(human_line(result["human"]))
    if "waterfall" in result:
        print_plain(_steps_table(result))
        for bullet in result["harmful"]:
            print_plain(f"hurts      {bullet['text']}")
    if "calibration" in result:
        print_calibration(result["calibration"])
    print_ratings("winner", result["winner"])
    print_plain(f"release {result['release']}, {result['calls']} of {result['budget']} judge calls")
    print_gate(result["gate"])


def luck_line(luck: dict[str, Any]) -> str:
    """What choosing the best of several candidates did to its figure."""
    line = f"selection  best of {luck['num_candidates']} on validation, NMSE {luck['validation_nmse']:.1f}"
    if luck["by_selection"] is None:
        line += ", of too few queries to say what luck did"
    elif luck["num_candidates"] > 1:
        low, high = sorted((luck["by_selection"], luck["by_selection_alone"]))
        line += f", which choosing makes about {low:.1f} to {high:.1f} too low"
    return f"{line}; on test {luck['test_nmse']:.1f}"


def _steps_table(result: dict[str, Any]) -> Table:
    """Each step of a choice of bullets: NMSE on test and on validation, and what it did there."""
    table = Table(title="steps", title_justify="left")
    table.add_column("change")
    for name in ("NMSE, test", "NMSE, val", "difference, val", "95 % interval", "calls"):
        table.add_column(name, justify="right")
    for step, tested in zip(result["steps"], result["waterfall"], strict=True):
        low, high = step["ci95"]
        change = "removed, not needed" if step["ground"] == "not needed" else step["change"]
        changed = Text("\n".join([change, *(f"- {bullet['text']}" for bullet in step["bullets"])]))
        figures = (f"{tested['nmse']:.1f}", f"{step['nmse']:.1f}", f"{step['delta_nmse']:+.2f}")
        table.add_row(changed, *figures, f"{low:+.2f} to {high:+.2f}", str(step["calls"]))
    return table


COMMAND = Command(OptimizeConfig, run, show, positional=("data",), plan=plan)

"""Evidence beside the figures as lines and tables for people: selection, people's agreement, rankings."""

from __future__ import annotations

from typing import Any

from rich.table import Table
from rich.text import Text


def luck_line(luck: dict[str, Any]) -> str:
    """What choosing the best of several candidates did to its figure."""
    line = f"selection  best of {luck['num_candidates']} on validation, NMSE {luck['validation_nmse']:.1f}"
    if luck["by_selection"] is None:
        line += ", of too few queries to say what luck did"
    elif luck["num_candidates"] > 1:
        low, high = sorted((luck["by_selection"], luck["by_selection_alone"]))
        line += f", which choosing makes about {low:.1f} to {high:.1f} too low"
    return f"{line}; on test {luck['test_nmse']:.1f}"


def human_line(human: dict[str, Any]) -> str:
    """What people reach on the pairs that several of them rated, beside the constant and the judges."""
    judges = "".join(f", {name} {nmse:.1f}" for name, nmse in human["nmse_of"].items())
    low, high = human["nmse_ci95"]
    return (
        f"people     one against the others NMSE {human['nmse']:.1f} ({low:.1f} to {high:.1f}; "
        f"alpha {_shown(human['krippendorff_alpha'])}) on {human['n']} pairs; "
        f"there constant {human['nmse_constant']:.1f}{judges}"
    )


def ranking_tables(ranking: dict[str, Any]) -> list[Table | str]:
    """NDCG of each ranking and the differences of any two under human and judge labels."""
    means = Table(title=f"NDCG@{ranking['k']}, {ranking['queries']} queries", title_justify="left")
    means.add_column("ranking")
    for name in ("human labels", "95 % interval", "judge labels", "95 % interval"):
        means.add_column(name, justify="right")
    for one in ranking["rankings"]:
        means.add_row(Text(one["name"]), *_cells(one["human"]), *_cells(one["judge"]))
    gaps = Table(title="differences", title_justify="left")
    gaps.add_column("second - first")
    for name in ("human labels", "95 % interval", "judge labels", "95 % interval", "same sign", "tau", "95 % interval"):
        gaps.add_column(name, justify="right")
    for one in ranking["differences"]:
        tau = _cells({"value": one["tau"]["tau"], "ci95": one["tau"]["ci95"]})
        same_sign = f"{one['same_sign']:.0%}"
        names = Text(f"{one['second']} - {one['first']}")
        gaps.add_row(names, *_cells(one["human"]), *_cells(one["judge"]), same_sign, *tau)
    left_out = (
        f"left out   of {ranking['listed']} listed documents {ranking['unlabelled']} without a human rating and "
        f"{ranking['invalid']} without a valid judgment; {ranking['queries_left_out']} queries"
    )
    order = ranking["order"]
    shown = [f"order      of the rankings: tau {' '.join(_cells({'value': order['tau'], **order}))}"] if order else []
    return [means, *([gaps] if ranking["differences"] else []), *shown, left_out]


def _cells(estimate: dict[str, Any]) -> tuple[str, str]:
    interval = estimate["ci95"]
    return _shown(estimate["value"]), "-" if interval is None else f"{interval[0]:.3f} to {interval[1]:.3f}"


def _shown(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"

"""`evaluate`: one judge on one split."""

from __future__ import annotations

from typing import Any

from rich.table import Table
from rich.text import Text

from cluster.adapting.config import EvaluateConfig
from cluster.commands.printing import print_plain
from cluster.commands.running import Command, Result
from cluster.commands.tables import human_line, print_figures, print_ratings, shown
from cluster.progress import Progress


def run(config: EvaluateConfig, progress: Progress) -> Result:
    """Measure the judge."""
    from cluster.adapting.evaluate import run_evaluate

    return run_evaluate(config, progress)


def plan(config: EvaluateConfig) -> Result:
    """What `run` would do."""
    from cluster.adapting.evaluate import plan_evaluate

    return plan_evaluate(config)


def show(result: Result) -> None:
    """The figures of one judge."""
    dataset = result["dataset"]
    print_figures(f"{dataset['n']} {dataset['split']} pairs of {dataset['path']}", [("judge", result)])
    print_ratings("judge", result)
    if result["invalid_reasons"]:
        print_plain("invalid: " + ", ".join(f"{reason} {count}" for reason, count in result["invalid_reasons"].items()))
    if "mean_digit_mass" in result:
        print_plain(f"digits     have {result['mean_digit_mass']:.3f} of the probability on the average")
    if "repeats" in result:
        _print_repeats(result["repeats"])
    if "human" in result:
        print_plain(human_line(result["human"]))
    for part in ranking_tables(result["ranking"]) if result.get("ranking") else []:
        print_plain(part)


def _print_repeats(repeats: dict[str, Any]) -> None:
    spread = repeats["spread"]
    deviation = "-" if spread["mean_sd"] is None else f"{spread['mean_sd']:.2f}"
    print_plain(
        f"repeats at temperature {repeats['temperature']:g}: standard deviation within a pair {deviation}, "
        f"the rating of {spread['changing_share']:.0%} of the pairs changes"
    )
    table = Table("k", "calls", "tokens", "NMSE of the mean", "NMSE of the majority", "mean against one")
    for row in repeats["by_count"]:
        cells = [f"{row[how]['nmse']:.1f} ({_interval(row[how]['nmse_ci95'])})" for how in ("mean", "majority")]
        gain = f"{row['mean']['delta_nmse']:+.1f} ({_interval(row['mean']['ci95'], '+')})"
        table.add_row(str(row["k"]), f"{row['calls']:,}", f"{row['tokens']:,}", *cells, gain)
    print_plain(table)


def _interval(bounds: list[float] | None, sign: str = "") -> str:
    if bounds is None:
        return "too few queries"
    return f"{bounds[0]:{sign}.1f} to {bounds[1]:{sign}.1f}"


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
    taus = [f"order      of the rankings: tau {' '.join(_cells({'value': order['tau'], **order}))}"] if order else []
    return [means, *([gaps] if ranking["differences"] else []), *taus, left_out]


def _cells(estimate: dict[str, Any]) -> tuple[str, str]:
    interval = estimate["ci95"]
    return shown(estimate["value"]), "-" if interval is None else f"{interval[0]:.3f} to {interval[1]:.3f}"


COMMAND = Command(EvaluateConfig, run, show, positional=("data",), plan=plan)

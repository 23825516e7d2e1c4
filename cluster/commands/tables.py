"""What several commands show: figures of judges, ratings, calibration, people's agreement, the gate's answer."""

from __future__ import annotations

from typing import Any

from rich.table import Table
from rich.text import Text

from cluster.commands.printing import print_plain
from optimize_workers.evidence.gate.config import GateConfig


def print_figures(title: str, judges: list[tuple[str, dict[str, Any]]]) -> None:
    """The figures of judges on the same pairs, one judge a row."""
    table = Table(title=title, title_justify="left")
    table.add_column("judge")
    for name in ("NMSE", "95 % interval", "valid", "invalid", "NMSE of valid", "constant", "skill"):
        table.add_column(name, justify="right")
    for name, figures in judges:
        low, high = figures["nmse_ci95"]
        table.add_row(
            name,
            f"{figures['nmse']:.1f}",
            f"{low:.1f} to {high:.1f}",
            str(figures["valid"]),
            str(figures["invalid"]),
            "-" if figures["nmse_valid"] is None else f"{figures['nmse_valid']:.1f}",
            f"{figures['nmse_constant']:.1f}",
            _skill(figures),
        )
    print_plain(table)
    for name, figures in judges:
        if figures.get("not_judged"):
            print_plain(not_judged_line(name, figures))
    for line in sorted({change_line(figures["model"]) for _, figures in judges if "model" in figures} - {""}):
        print_plain(line)


def change_line(model: dict[str, Any]) -> str:
    """That a model is not the one that was recorded before; empty where it is."""
    if not model["changed"]:
        return ""
    canaries = model["canaries"]
    agreed = f" ({canaries['agree']} of {canaries['n']} canaries agree)" if canaries else ""
    return (
        f"changed    {model['name']} answers otherwise than before{agreed}; nothing that was recorded then is in this"
    )


def not_judged_line(name: str, figures: dict[str, Any]) -> str:
    """How many items a judge did not judge, and the first of them with its cause; no figure counts them."""
    items = figures.get("not_judged_items") or []
    first = "".join(f"; first: query_id {i['query_id']!r}, doc_id {i['doc_id']!r}: {i['cause']}" for i in items[:1])
    return f"not judged {name}: {figures['not_judged']}, part of no figure{first}"


def _skill(figures: dict[str, Any]) -> str:
    if figures["skill"] is None:
        return "-"
    interval = figures.get("skill_ci95")
    ends = f" ({interval[0]:+.2f} to {interval[1]:+.2f})" if interval else ""
    return f"{figures['skill']:+.2f}{ends}"


def print_comparison(comparison: dict[str, Any]) -> None:
    """The difference that a change made, with its interval."""
    low, high = comparison["ci95"]
    print_plain(f"NMSE difference {comparison['delta_nmse']:+.1f} (95 % interval {low:+.1f} to {high:+.1f})")


def print_ratings(name: str, figures: dict[str, Any]) -> None:
    """How often which rating was given, and that a judge is collapsed if it is nearly always the same."""
    counts = figures["rating_counts"]
    line = f"ratings    {name}: " + ", ".join(f"{rating}: {count}" for rating, count in counts.items())
    share = figures["largest_rating_share"]
    if share > GateConfig().max_single_rating_share:
        line += f"; collapsed, {share:.0%} are {max(counts, key=counts.__getitem__)}"
    print_plain(line)


def print_calibration(calibration: dict[str, Any]) -> None:
    """How a calibration was chosen on train, and what it does on test."""
    errors = ", ".join(f"{kind} {nmse:.1f}" for kind, nmse in calibration["cv_nmse"].items())
    reason = f" ({calibration['reason']})" if calibration["reason"] else ""
    print_plain(
        f"calibration {calibration['kind']}{reason}"
        + (f"; NMSE on train by cross-validation: {errors}" if errors else "")
    )
    before, after = (calibration[when]["calibration_error"] for when in ("before", "after"))
    if before is not None and after is not None:
        print_plain(f"mean distance of answers from human ratings, in bins: {before:.2f} before, {after:.2f} after")


def human_line(human: dict[str, Any]) -> str:
    """What people reach on the pairs that several of them rated, beside the constant and the judges."""
    judges = "".join(f", {name} {nmse:.1f}" for name, nmse in human["nmse_of"].items())
    low, high = human["nmse_ci95"]
    return (
        f"people     one against the others NMSE {human['nmse']:.1f} ({low:.1f} to {high:.1f}; "
        f"alpha {shown(human['krippendorff_alpha'])}) on {human['n']} pairs; "
        f"there constant {human['nmse_constant']:.1f}{judges}"
    )


def print_gate(gate: dict[str, Any]) -> None:
    """What the gate said: every rule where they are known, else the reasons of a refusal."""
    if gate.get("rules"):
        print_plain(rules_table(gate))
    if gate.get("changed_limits"):
        print_plain(
            "limits     changed: " + ", ".join(f"{name} {limit:g}" for name, limit in gate["changed_limits"].items())
        )
    print_plain("gate       passed" if gate["passed"] else f"gate       refused, for {len(gate['reasons'])} reasons")
    if not gate.get("rules"):
        for reason in gate["reasons"]:
            print_plain(f"gate       refused: {reason}")
    if gate.get("override"):
        print_plain(f"override   {gate['override']}")


def rules_table(gate: dict[str, Any]) -> Table:
    """Every rule of a gate with its limit, what was found, and why where it did not pass."""
    table = Table("rule", "", title="gate", title_justify="left")
    table.add_column("limit", justify="right")
    table.add_column("found", justify="right")
    table.add_column("")
    for rule in gate["rules"]:
        status = {"passed": "ok", "failed": "NO", "not_checked": "-"}[rule["status"]]
        limit, found = ("" if rule[key] is None else f"{rule[key]:.4g}" for key in ("limit", "found"))
        table.add_row(rule["name"].replace("_", " "), status, limit, found, Text(rule["reason"] or ""))
    return table


def shown(value: float | None) -> str:
    """Three decimals, or a dash for what is not known."""
    return "-" if value is None else f"{value:.3f}"

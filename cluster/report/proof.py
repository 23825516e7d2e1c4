"""Whether to believe it: the paired comparison, what luck would give, the gate rule by rule, the adversarial suite."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from cluster.report import charts
from cluster.report.blocks import (
    NOTHING,
    Chart,
    Section,
    Table,
    facts_table,
    finite,
    numbers,
    shown,
    shown_any,
    shown_interval,
    words,
)
from cluster.report.record import Record, records_of

_DIFFERENCES = {  # key of `differences`: name, decimals, which direction is better
    "nmse": ("NMSE", 1, "lower"),
    "validity": ("validity", 3, "higher"),
    "qwk": ("quadratic weighted kappa", 2, "higher"),
    "bias": ("bias, rating units", 2, "nearer to 0"),
    "abs_bias": ("size of the bias", 2, "lower"),
}
_PASSED = {True: "✓ passed", False: "✗ failed", None: "○ not checked"}
_Row = Mapping[str, Any]


def comparison(record: Record) -> Section | None:
    """Baseline and winner on the same examples, in pairs, and what choosing the best of many would give by itself."""
    compared, differences = record.part("comparison"), record.part("differences")
    if not compared and not differences:
        return None
    nmse = {"delta": compared.get("delta_nmse"), "ci95": compared.get("ci95"), "p_better": compared.get("p_better")}
    rows = [_difference(key, _part(differences, key) or (nmse if key == "nmse" else {})) for key in _DIFFERENCES]
    table = Table(
        (
            *words("figure"),
            *numbers("winner - baseline", "95 % interval", "probability of being better"),
            *words("better is"),
        ),
        tuple(row for row in rows if row[1] != NOTHING),
    )
    openings = record.result.get("test_openings")
    said = ["Both judges rated the same examples; the interval comes of resampling whole queries."]
    if openings:
        said.append(
            f"The test split of this data was opened {openings} time{'s' if openings != 1 else ''}: the more often, "
            "the less its figures prove."
        )
    luck = record.part("luck")
    grades = _grades(differences)
    return Section(
        "comparison",
        "Baseline against winner",
        paragraphs=tuple(said),
        blocks=tuple(block for block in (table, grades, _luck(luck) if luck else None) if block is not None),
    )


def gate(record: Record) -> Section | None:
    """The gate's answer with every rule; the reasons alone where an older version recorded no rules."""
    answer = record.part("gate")
    if not answer:
        return None
    rules = records_of(answer.get("rules"))
    reasons = [str(reason) for reason in answer.get("reasons") or ()]
    rows = tuple(
        (
            str(rule.get("name", NOTHING)).replace("_", " "),
            shown_any(rule.get("limit")),
            shown_any(rule.get("found")),
            _PASSED.get(rule.get("passed"), NOTHING),
            shown_any(rule.get("reason")),
        )
        for rule in rules
    )
    columns = (*words("rule"), *numbers("limit", "found"), *words("answer", "reason"))
    tables = [Table(columns, rows)] if rows else []
    deployed = record.part("deployed_gate")
    if deployed:
        tables.append(facts_table(deployed, "What the demo deployed"))
    return Section(
        "gate",
        "Gate",
        verdict="passed" if answer.get("passed") else "refused",
        paragraphs=(*(() if rows else reasons), *_changed_limits(answer)),
        blocks=tuple(tables),
    )


def _changed_limits(answer: Mapping[str, Any]) -> tuple[str, ...]:
    changed = answer.get("changed_limits")
    if not isinstance(changed, dict) or not changed:
        return ()
    named = ", ".join(f"{name} {shown_any(limit)}" for name, limit in changed.items())
    return (f"Limits other than the usual ones: {named}.",)


def adversarial(record: Record) -> Section | None:
    """How far tricks move the ratings, a kind below the other."""
    kinds = [kind for kind in record.records("adversarial") if finite(kind.get("mean_shift")) is not None]
    if not kinds:
        return None
    rows = [_shift(kind) for kind in kinds]
    cells = tuple(
        (
            str(kind.get("kind")),
            shown_any(kind.get("expected")),
            shown(kind.get("n"), 0),
            shown(kind.get("mean_shift"), 2, signed=True),
            shown_interval(kind.get("ci95"), 2, signed=True),
            shown(kind.get("moved_share"), 2),
            shown(kind.get("invalid"), 0),
        )
        for kind in kinds
    )
    columns = (*words("kind", "expected"), *numbers("pairs", "mean shift", "95 % interval", "share moved", "invalid"))
    chart = Chart(
        "adversarial",
        "Mean shift of the rating by kind of change, in rating units, with its 95 % interval.",
        charts.intervals(rows, charts.series_of(["judge"]), "rating with the change - rating without"),
        Table(columns, cells),
    )
    return Section(
        "adversarial",
        "Adversarial suite",
        paragraphs=("Documents of the data, changed in ways that should move a rating down, or not at all.",),
        blocks=(chart,),
    )


def _part(content: Mapping[str, Any], key: str) -> _Row:
    found = content.get(key)
    return found if isinstance(found, Mapping) else {}


def _difference(key: str, found: _Row) -> tuple[str, ...]:
    name, digits, better = _DIFFERENCES[key]
    delta, ends = shown(found.get("delta"), digits, signed=True), shown_interval(found.get("ci95"), digits, signed=True)
    return name, delta, ends, shown(found.get("p_better"), 3), better


def _grades(differences: Mapping[str, Any]) -> Chart | None:
    grades = {name: found for name, found in _part(differences, "grades").items() if isinstance(found, Mapping)}
    known = {name: found for name, found in grades.items() if finite(found.get("delta")) is not None}
    if not known:
        return None
    rows = [_point(f"rating {name}", found.get("delta"), found.get("ci95"), 1) for name, found in sorted(known.items())]
    cells = tuple(
        (
            name,
            shown(found.get("n"), 0),
            shown(found.get("delta"), 1, signed=True),
            shown_interval(found.get("ci95"), 1, signed=True),
            shown(found.get("p_better"), 3),
        )
        for name, found in sorted(known.items())
    )
    return Chart(
        "grades",
        "Difference of NMSE by human rating, winner - baseline; below 0 the winner is better.",
        charts.intervals(rows, charts.series_of(["judge"]), "difference of NMSE"),
        Table((*words("human rating"), *numbers("pairs", "difference", "95 % interval", "probability")), cells),
    )


def _shift(kind: _Row) -> dict[str, Any]:
    return _point(str(kind.get("kind")), kind.get("mean_shift"), kind.get("ci95"), 2)


def _point(name: str, value: Any, interval: Any, digits: int) -> dict[str, Any]:
    return charts.point(name, "judge", value, interval, shown(value, digits, signed=True))


def _luck(luck: _Row) -> Table:
    named = {
        "candidates that it was chosen from": luck.get("num_candidates"),
        "winner's NMSE on validation, where it was chosen": finite(luck.get("validation_nmse")),
        "winner's NMSE on test": finite(luck.get("test_nmse")),
        "NMSE points that choosing the best gives by itself": luck.get("by_selection"),
    }
    known = {name: shown(value, 1) if isinstance(value, float) else value for name, value in named.items()}
    return facts_table(known, "Luck: the best of many looks better on the examples that chose it")

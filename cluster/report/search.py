"""How a search went: the steps of a choice of bullets, candidates over judge calls, their lineage, refusals."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from cluster.report import charts
from cluster.report.blocks import (
    NOTHING,
    Chart,
    Section,
    Table,
    cut,
    finite,
    numbers,
    shown,
    with_interval,
    words,
)
from cluster.report.course import course_of
from cluster.report.lineage import DROPPED, FULL, UNFINISHED, Lineage, lineage_of
from cluster.report.record import Record
from cluster.report.waterfall import WHOLE, waterfall_of
from optimize_workers.study import StudyResult

_STATES = {
    FULL: "judged on all examples",
    DROPPED: "dropped in a race",
    UNFINISHED: "not judged to the end",
}


def waterfall(record: Record) -> Section | None:
    """The steps of a choice of bullets on the same held-out examples, with each bullet's text."""
    tested = record.records("waterfall")
    nmses = [nmse for nmse in (finite(step.get("nmse")) for step in tested) if nmse is not None]
    if not nmses or len(nmses) < len(tested):
        return None
    searched = record.records("steps")
    budget = record.part("diff_budget")
    said = [
        "The search accepted each step on validation examples; here every step stands on the same held-out test "
        "examples, measured after the winner was decided.",
        "An added bullet and a new order passed a one-sided paired test of being better than the step before. A "
        "removed bullet passed that test too, or it was not needed: the mean loss did not rise without it, and a rise "
        "of 1 NMSE point or more was ruled out.",
    ]
    if budget:
        kept = "Nothing but the bullet block differs from the baseline."
        said.insert(0, kept if budget.get("kept") else f"More than the bullet block changed: {budget.get('changed')}.")
    steps = tuple(
        _step(number, test, searched[number] if number < len(searched) else {}) for number, test in enumerate(tested)
    )
    columns = (
        *numbers("step"),
        *words("change"),
        *numbers(
            "NMSE, test",
            "difference (95 % interval)",
            "NMSE, validation",
            "difference (95 % interval)",
            "p of its test",
            "judge calls",
        ),
    )
    bars = [
        {
            "step": bar.name,
            "low": bar.low,
            "high": bar.high,
            "what": bar.what,
            "label": shown(bar.high) if bar.what == WHOLE else shown(bar.delta, 1, signed=True),
            "says": f"{bar.name}: {shown(bar.low)} to {shown(bar.high)}",
        }
        for bar in waterfall_of(nmses)
    ]
    ends = f"from {shown(nmses[0])} to {shown(nmses[-1])} in {len(nmses) - 1} steps"
    caption = f"NMSE on the test split, {ends}; lower is better."
    chart = Chart("waterfall", caption, charts.waterfall(bars), Table(columns, steps))
    harmful = tuple(
        (str(one.get("text")), with_error(one.get("shrunk_added_nmse", one.get("added_nmse")), one.get("error")))
        for one in record.records("harmful")
    )
    estimated = "adds to NMSE, estimated on training examples and shrunk towards 0 (standard deviation)"
    named = Table((*words("bullet that hurts"), *numbers(estimated)), harmful)
    return Section("steps", "Steps", paragraphs=tuple(said), blocks=(chart, *((named,) if harmful else ())))


def candidates(record: Record) -> Section | None:
    """What was tried, over judge calls, and what was made from what."""
    study = record.study
    if study is None:
        return None
    lineage = lineage_of(study)
    chart = _course(study, lineage, record)
    refusals = tuple(
        (reason, shown(count, 0)) for reason, count in sorted(study.refusals.items(), key=lambda one: (-one[1], one[0]))
    )
    table = Table((*words("refused proposals: reason"), *numbers("proposals")), refusals)
    return Section(
        "candidates",
        "Candidates",
        paragraphs=(_summary(lineage, study),),
        blocks=(*((chart,) if chart else ()), *((table,) if refusals else ())),
        partial="lineage.html" if lineage.entries else "",
        content=lineage,
    )


def with_error(value: Any, error: Any) -> str:
    """A figure with its standard error in brackets."""
    return f"{shown(value, 2)} ({shown(error, 2)})"


def _step(number: int, tested: Mapping[str, Any], searched: Mapping[str, Any]) -> tuple[str, ...]:
    bullets = [str(bullet.get("text", "")) for bullet in tested.get("bullets") or () if isinstance(bullet, Mapping)]
    kind = str(tested.get("change", "")) + (", not needed" if tested.get("ground") == "not needed" else "")
    change = ": ".join(filter(None, (kind, cut(" / ".join(bullets), 2_000))))

    def difference(step: Mapping[str, Any]) -> str:
        return with_interval(step.get("delta_nmse"), step.get("ci95"), 2, signed=True) if number else NOTHING

    calls = shown(searched.get("calls"), 0)
    return (
        str(number),
        change,
        shown(tested.get("nmse")),
        difference(tested),
        shown(searched.get("nmse")),
        difference(searched),
        shown(searched.get("p_value"), 3),
        calls,
    )


def _summary(lineage: Lineage, study: StudyResult) -> str:
    if not lineage.entries:
        return "No candidate was judged on all validation examples."
    counted = [f"{lineage.num_full} judged on all validation examples"]
    counted += [f"{lineage.num_dropped} dropped in a race"] if lineage.num_dropped else []
    counted += [f"{lineage.num_unfinished} not judged to the end"] if lineage.num_unfinished else []
    said = [f"{', '.join(counted)}.", f"Judge calls saved by racing: {study.calls_saved:,}."]
    if lineage.num_passed or lineage.num_not_passed:
        said.append(
            f"Proposals that passed their minibatch: {lineage.num_passed}, that did not: {lineage.num_not_passed}."
        )
    if lineage.num_minibatches:
        said.append(f"Further trials on minibatches: {lineage.num_minibatches}.")
    return " ".join(said)


def _course(study: StudyResult, lineage: Lineage, record: Record) -> Chart | None:
    steps = course_of(study.trials)
    last_call = max([int(record.result.get("calls") or 0), *(trial.calls for trial in study.trials)], default=0)
    if not steps or last_call == 0:
        return None
    rows = [
        {
            "calls": entry.trial.calls,
            "nmse": entry.nmse,
            "state": _STATES[entry.state],
            "is_winner": entry.is_winner,
            "says": f"trial {entry.trial.number}: NMSE {shown(entry.nmse)} after {entry.trial.calls} judge calls",
        }
        for entry in lineage.entries
    ]
    best = [{"calls": step.calls, "nmse": step.best_nmse} for step in steps]
    cells = tuple(
        (str(step.calls), str(step.trial), shown(step.nmse), shown(step.best_nmse), shown(step.validity, 2))
        for step in steps
    )
    caption = (
        f"NMSE on validation over judge calls, lower is better: the best falls from {shown(steps[0].best_nmse)} to "
        f"{shown(steps[-1].best_nmse)} over {last_call:,} judge calls."
    )
    table = Table(numbers("judge calls", "trial", "NMSE", "best NMSE", "validity"), cells)
    return Chart("course", caption, charts.course(rows, best, last_call), table)

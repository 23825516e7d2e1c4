"""What a report begins with: the figures of each judge, and constant, judges and people on one axis."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from cluster.report import charts
from cluster.report.blocks import (
    NOTHING,
    Chart,
    Column,
    Section,
    Table,
    facts_table,
    finite,
    numbers,
    shown,
    shown_interval,
    with_interval,
    words,
)
from cluster.report.record import Arm, Record, records_of
from optimize_workers.evidence.gate.config import GateConfig
from optimize_workers.texts.query_groups import query_groups

COLLAPSED_SHARE = GateConfig().max_single_rating_share
_HUMAN = ("n", "raters", "nmse", "nmse_ci95", "nmse_constant", "krippendorff_alpha", "qwk")
Figures = Mapping[str, Any]


class Tile(NamedTuple):
    """A figure at the top of the page."""

    name: str
    value: str
    note: str = ""


class _Line(NamedTuple):
    name: str
    show: Callable[[Figures], str]
    change: Callable[[Figures, Figures], str]


def headline(record: Record) -> Section:
    """The first section: NMSE, validity and what neither may hide, for every judge."""
    before, after = record.before, record.after
    arms = record.arms
    columns = [*words("figure"), *numbers(*(arm.title for arm in arms))]
    lines = _lines_of(arms)
    rows = [[line.name, *(line.show(arm.figures) for arm in arms)] for line in lines]
    if before is not None and before is not after:
        place = 2 + arms.index(after)  # beside the judge that the report is about
        columns.insert(place, Column("change", is_number=True))
        for line, row in zip(lines, rows, strict=True):
            row.insert(place, line.change(before.figures, after.figures))
    same_target, raters = _same_target(record), _people(record)
    models = "; ".join(dict.fromkeys(_judge_of(arm) for arm in arms))
    table = Table(tuple(columns), tuple(map(tuple, rows)), f"{_examples(record)}; {models}.")
    return Section(
        "figures",
        "Figures",
        paragraphs=tuple(_collapsed(arms)),
        blocks=(table, _axis(record), *((same_target,) if same_target else ()), *((raters,) if raters else ())),
        partial="legend.html",
    )


def tiles(record: Record) -> tuple[Tile, ...]:
    """The figures that must not hide behind each other, before and after, and the gate's answer."""
    before, after = record.before, record.after
    first = before.figures if before is not None and before is not after else None

    def both(line: _Line) -> str:
        return line.show(after.figures) if first is None else f"{line.show(first)} → {line.show(after.figures)}"

    lines = {line.name: line for line in _LINES}
    interval = shown_interval(after.figures.get("nmse_ci95"))
    found = [
        Tile("NMSE, lower is better", both(lines["NMSE"]), f"95 % interval {interval}"),
        Tile("invalid replies", both(lines["invalid replies"]), f"of {shown(after.figures.get('n'), 0)}"),
        Tile("NMSE over valid replies", both(lines["NMSE over valid replies"]), "leaves invalid ones out"),
        Tile(
            "skill over the constant",
            both(lines["skill over the constant"]),
            f"the constant answer has NMSE {shown(after.figures.get('nmse_constant'))}",
        ),
    ]
    answer = record.part("gate")
    if answer:
        passed, num_reasons = bool(answer.get("passed")), len(answer.get("reasons") or ())
        note = "" if passed or not num_reasons else f"{num_reasons} reason{'s' if num_reasons > 1 else ''}, see below"
        found.append(Tile("gate", "passed" if passed else "refused", note))
    return tuple(found)


def subtitle(record: Record) -> str:
    """Which pairs of which data the figures are of, and when they were taken."""
    parts = [_examples(record), str(record.dataset.get("path") or ""), f"release {record.release.id}"]
    return " · ".join(filter(None, (*parts, str(record.result.get("finished_at") or ""))))


def invalid_replies(record: Record) -> Section | None:
    """Why replies could not be read, for every judge that gave such."""
    reasons = {arm.title: arm.figures.get("invalid_reasons") or {} for arm in record.arms}
    names = sorted({reason for counted in reasons.values() for reason in counted})
    if not names:
        return None
    rows = tuple((name, *(str(counted.get(name, 0)) for counted in reasons.values())) for name in names)
    return Section(
        "invalid",
        "Replies that could not be read",
        paragraphs=("Each of them counts 100 in the NMSE.",),
        blocks=(Table((*words("reason"), *numbers(*reasons)), rows),),
    )


def _lines_of(arms: Sequence[Arm]) -> tuple[_Line, ...]:
    """What is shown of these judges; the mass on the digits only where one was judged by them."""
    has_mass = any(finite(arm.figures.get("mean_digit_mass")) is not None for arm in arms)
    return (*_LINES, _DIGIT_MASS) if has_mass else _LINES


def not_judged(record: Record) -> Section | None:
    """The items that were not judged, for every judge, with their causes."""
    counts = {arm.title: arm.figures.get("not_judged") or 0 for arm in record.arms}
    items = {arm.title: records_of(arm.figures.get("not_judged_items")) for arm in record.arms}
    if not any(counts.values()):
        return None
    rows = tuple(
        (title, *(str(item.get(key, "")) for key in ("query_id", "doc_id", "cause")))
        for title, told in items.items()
        for item in told
    )
    said = ", ".join(f"{title}: {count}" for title, count in counts.items() if count)
    return Section(
        "not_judged",
        "Items that were not judged",
        paragraphs=(f"{said}. They are part of no figure, and are asked again by the next run.",),
        blocks=(Table(words("judge", "query", "document", "cause"), rows),),
    )


def _people(record: Record) -> Table | None:
    human = record.part("human")
    if not human:
        return None
    named = {
        "pairs that several rated": human.get("n"),
        "raters": human.get("raters"),
        "NMSE (95 % interval)": with_interval(human.get("nmse"), human.get("nmse_ci95")),
        "NMSE of the constant answer on these pairs": shown(human.get("nmse_constant")),
        "Krippendorff's alpha, ordinal": shown(human.get("krippendorff_alpha"), 2),
        "quadratic weighted kappa": shown(human.get("qwk"), 2),
    }
    further = {key: value for key, value in human.items() if key not in (*_HUMAN, "against_others")}
    return facts_table({**named, **further}, "One human rater against the others: how well people agree")


def _collapsed(arms: tuple[Arm, ...]) -> list[str]:
    said = []
    for arm in arms:
        counts = arm.figures.get("rating_counts") or {}
        valid, most = sum(counts.values()), max(counts.values(), default=0)
        if valid and most / valid > COLLAPSED_SHARE:
            rating = max(counts, key=lambda name: counts[name])
            said.append(f"{arm.title.capitalize()} is collapsed: {most} of its {valid} ratings are {rating}.")
    return said


def _axis(record: Record) -> Chart:
    rows = []
    constant = finite(record.after.figures.get("nmse_constant"))
    if constant is not None:
        rows.append(_point("constant", constant, None))
    rows += [_point(arm.title, arm.figures.get("nmse"), arm.figures.get("nmse_ci95")) for arm in record.arms]
    human = record.part("human")
    if finite(human.get("nmse")) is not None:
        rows.append(_point("human", human["nmse"], human.get("nmse_ci95")))
    names = [arm.title for arm in record.arms]
    series = [charts.CONSTANT, *charts.series_of(names), charts.HUMAN]
    cells = tuple((row["kind"], shown(row["value"]), shown_interval((row["low"], row["high"]))) for row in rows)
    caption = "NMSE with its 95 % interval, lower is better."
    if human:
        caption += f" Human: one rater against the others, on the {shown(human.get('n'), 0)} pairs that several rated."
    return Chart(
        "axis",
        caption,
        charts.intervals(rows, series, "NMSE, lower is better"),
        Table((*words("answers of"), *numbers("NMSE", "95 % interval")), cells),
    )


def _same_target(record: Record) -> Chart | None:
    """Constant, judges and a rater, all held to the mean of the other raters, which is noisier than the mean of all."""
    human = record.part("human")
    against = human.get("against_others")
    if not isinstance(against, Mapping) or finite(human.get("nmse")) is None:
        return None
    named = {"constant": "constant", **{arm.name: arm.title for arm in record.arms}}
    points = [
        _point(title, against[name], None) for name, title in named.items() if finite(against.get(name)) is not None
    ]
    rows = [*points, _point("human", human["nmse"], human.get("nmse_ci95"))]
    series = [charts.CONSTANT, *charts.series_of([arm.title for arm in record.arms]), charts.HUMAN]
    cells = tuple((row["kind"], shown(row["value"])) for row in rows)
    caption = (
        "NMSE of constant, judges and one human rater against the same target, the mean of the other raters, "
        f"on the {shown(human.get('n'), 0)} pairs that several rated; lower is better."
    )
    table = Table((*words("answers of"), *numbers("NMSE against the other raters")), cells)
    return Chart("people", caption, charts.intervals(rows, series, "NMSE, lower is better"), table)


def _point(name: str, value: Any, interval: Any) -> dict[str, Any]:
    return charts.point(name, name, value, interval, with_interval(value, interval), "NMSE ")


def _judge_of(arm: Arm) -> str:
    judge = arm.figures.get("judge") or {}
    return f"model {judge.get('model', arm.judgments[0].model)}, mode {judge.get('mode', arm.judgments[0].mode)}"


def _examples(record: Record) -> str:
    figures, dataset = record.after.figures, record.dataset
    split = dataset.get("split") or ", ".join(sorted({example.split for example in record.after.examples}))
    queries = dataset.get("queries") or len(set(query_groups(example.item for example in record.after.examples)))
    return f"{shown(figures.get('n'), 0)} {split} pairs of {shown(queries, 0)} queries"


def _relative(key: str) -> Callable[[Figures, Figures], str]:
    def change(before: Figures, after: Figures) -> str:
        first, second = finite(before.get(key)), finite(after.get(key))
        if first is None or second is None:
            return NOTHING
        if first == 0.0:
            return "none" if second == 0.0 else NOTHING
        return f"{shown(100.0 * (second - first) / first, 0, signed=True)} %"

    return change


def _difference(key: str, digits: int) -> Callable[[Figures, Figures], str]:
    def change(before: Figures, after: Figures) -> str:
        first, second = finite(before.get(key)), finite(after.get(key))
        return NOTHING if first is None or second is None else shown(second - first, digits, signed=True)

    return change


def _plain(key: str, digits: int = 1, *, signed: bool = False) -> Callable[[Figures], str]:
    return lambda figures: shown(figures.get(key), digits, signed=signed)


def _interval(key: str) -> Callable[[Figures], str]:
    return lambda figures: shown_interval(figures.get(key), 2, signed=True)


def _share(key: str) -> Callable[[Figures], str]:
    def show(figures: Figures) -> str:
        share = finite(figures.get(key))
        return NOTHING if share is None else f"{shown(100.0 * share)} %"

    return show


_LINES = (
    _Line("NMSE", _plain("nmse"), _relative("nmse")),
    _Line("95 % interval", lambda figures: shown_interval(figures.get("nmse_ci95")), lambda *_: ""),
    _Line("valid replies", _plain("valid", 0), _difference("valid", 0)),
    _Line("invalid replies", _plain("invalid", 0), _relative("invalid")),
    _Line("NMSE over valid replies", _plain("nmse_valid"), _relative("nmse_valid")),
    _Line("NMSE of the constant answer", _plain("nmse_constant"), lambda *_: ""),
    _Line("skill over the constant", _plain("skill", 2, signed=True), _difference("skill", 2)),
    _Line(
        "95 % interval of the skill",
        lambda figures: shown_interval(figures.get("skill_ci95"), 2, signed=True),
        lambda *_: "",
    ),
    _Line("bias (judge - human)", _plain("bias", 2, signed=True), _difference("bias", 2)),
    _Line("quadratic weighted kappa", _plain("qwk", 2), _difference("qwk", 2)),
    _Line("exactly the human rating", _share("exact"), lambda *_: ""),
    _Line("within one of it", _share("within_one"), lambda *_: ""),
)
_DIGIT_MASS = _Line(
    "mean probability on the scale's digits", _plain("mean_digit_mass", 3), _difference("mean_digit_mass", 3)
)

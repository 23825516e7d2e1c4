"""How a judge rates: confusion with people, how often each rating, where it is off on the average."""

from __future__ import annotations

from collections import Counter
from typing import Any, NamedTuple

from cluster.report import charts
from cluster.report.blocks import Chart, Section, Table, numbers, shown, shown_interval, words
from cluster.report.record import Record
from optimize_workers.evidence.bias import BiasTable, bias_tables

NUM_SHADES = 5


class Cell(NamedTuple):
    """A count, and its shade: 0 for none, up to `NUM_SHADES` for the largest of the matrix."""

    pairs: int
    shade: int


class Matrix(NamedTuple):
    """Counts [human][judge], lowest rating first."""

    title: str
    ratings: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]


def confusion(record: Record) -> Section | None:
    """A matrix for each judge that gave a rating."""
    ratings = tuple(map(str, record.scale.ratings))
    matrices = []
    for arm in record.arms:
        counts = arm.figures.get("confusion") or []
        top = max((count for row in counts for count in row), default=0)
        if top:
            rows = tuple(tuple(Cell(count, -(-NUM_SHADES * count // top)) for count in row) for row in counts)
            matrices.append(Matrix(arm.title, ratings, rows))
    if not matrices:
        return None
    return Section("confusion", "Confusion", partial="confusion.html", content=matrices)


def distribution(record: Record) -> Section | None:
    """How often each rating was given by people and judges."""
    names = [str(rating) for rating in record.scale.ratings]
    people = Counter(str(record.scale.nearest(example.gold_rating)) for example in record.after.examples)
    counts: dict[str, dict[str, Any]] = {"human": dict(people)}
    counts |= {arm.title: dict(arm.figures.get("rating_counts") or {}) for arm in record.arms}
    silent = [title for title, counted in counts.items() if not sum(counted.values())]
    counts = {title: counted for title, counted in counts.items() if title not in silent}
    drawn = {arm.title for arm in (record.before, record.after) if arm is not None and arm.title in counts}
    judges = {title: counted for title, counted in counts.items() if title == "human" or title in drawn}
    if len(counts) == 1:
        return None
    rows = [
        {
            "rating": name,
            "series": title,
            "count": counted.get(name, 0),
            "says": f"{title}, {name}: {counted.get(name, 0)}",
        }
        for name in names
        for title, counted in judges.items()
    ]
    cells = tuple((name, *(str(counted.get(name, 0)) for counted in counts.values())) for name in names)
    caption = "How often each rating was given; human means are rounded half up, unreadable replies are left out."
    if silent:
        caption += f" Without any readable reply: {', '.join(silent)}."
    chart = Chart(
        "distribution",
        caption,
        charts.distribution(rows, [title for title in judges if title != "human"], names),
        Table((*words("rating"), *numbers(*counts)), cells),
    )
    return Section("distribution", "Ratings given", blocks=(chart,))


def bias(record: Record) -> Section | None:
    """Mean of judge minus human by what is easily seen of a pair."""
    arms = [arm for arm in (record.before, record.after) if arm is not None]
    tables = {arm.title: bias_tables(arm.judgments, arm.examples, record.scale) for arm in arms}
    pictures = [_bias_chart(place, tables) for place in range(1, len(next(iter(tables.values()))))]
    shown_ones = tuple(picture for picture in pictures if picture is not None)
    if not shown_ones:
        return None
    said = (
        "Mean of judge minus human in rating units, with the 95 % interval by query from five pairs on; above 0 the "
        "judge is too generous. A judge that is merely unsure looks generous at the lowest rating and harsh at the "
        "highest.",
    )
    return Section("bias", "Bias", paragraphs=said, blocks=shown_ones)


def _bias_chart(place: int, tables: dict[str, list[BiasTable]]) -> Chart | None:
    rows, cells = [], []
    for arm, own in tables.items():
        for row in own[place].rows:
            low, high = row.ci95 or (None, None)
            label = shown(row.mean_gap, 2, signed=True)
            rows.append(
                {
                    "kind": row.name,
                    "series": arm,
                    "value": row.mean_gap,
                    "low": low,
                    "high": high,
                    "label": label,
                    "says": f"{arm}, {row.name}: {label}, {row.n} pairs",
                }
            )
            cells.append((row.name, arm, str(row.n), label, shown_interval(row.ci95, 2, signed=True)))
    if not rows:
        return None
    title = next(iter(tables.values()))[place].title
    order = list(dict.fromkeys(row.name for own in tables.values() for row in own[place].rows))
    rows.sort(key=lambda row: order.index(str(row["kind"])))
    series = charts.series_of([arm for arm, own in tables.items() if own[place].rows])
    return Chart(
        f"bias-{place}",
        f"Bias by {title}.",
        charts.intervals(rows, series, "judge - human", width=charts.NARROW),
        Table((*words(title, "judge"), *numbers("pairs", "bias", "95 % interval")), tuple(cells)),
    )

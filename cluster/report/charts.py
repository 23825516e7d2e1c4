"""The charts as Vega-Lite specifications: colours of the page, and shapes that tell series apart without colour."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from cluster.report.blocks import finite, interval_of
from cluster.report.drawing import INK, MUTED

WIDE, NARROW = 680, 300  # of the part between the axes, in pixels
_ROW, _OFFSET_ROW = 34, 22  # height of a category, and of a series where it holds several
_LEGEND = {"title": None, "orient": "top", "columnPadding": 24, "symbolSize": 90, "symbolStrokeWidth": 2}
_POINT = {"type": "point", "size": 90, "strokeWidth": 2, "opacity": 1}
Spec = dict[str, Any]
Rows = Sequence[Mapping[str, Any]]


@dataclass(frozen=True)
class Series:
    """How one judge or kind of rating is drawn: a Vega shape and a colour; hollow ones are only outlined."""

    name: str
    shape: str
    colour: str
    is_hollow: bool = False


CONSTANT = Series("constant", "diamond", MUTED)
HUMAN = Series("human", "triangle-up", "var(--human)")
_BEFORE = Series("baseline", "square", "var(--before)", is_hollow=True)
_FURTHER = ("triangle-down", "triangle-right", "cross", "triangle-left")


def series_of(names: Sequence[str]) -> list[Series]:
    """A look for each judge: the baseline hollow, the judge in question filled, further ones by their shape."""
    further = iter(Series("", shape, MUTED, is_hollow=True) for shape in _FURTHER * len(names))
    looks = {"baseline": _BEFORE, "winner": Series("", "circle", "var(--after)")}
    looks["judge"] = looks["winner"]
    return [replace(looks.get(name) or next(further), name=name) for name in names]


def point(name: str, series: str, value: Any, interval: Any, label: str, what: str = "") -> dict[str, Any]:
    """A row of `intervals`: a value with its interval, if it has one; `what` names the figure to who cannot see it."""
    ends = interval_of(interval)
    return {
        "kind": name,
        "series": series,
        "value": finite(value),
        "low": ends[0] if ends else None,
        "high": ends[1] if ends else None,
        "label": label,
        "says": f"{name}: {what}{label}",
    }


def intervals(rows: Rows, series: Sequence[Series], title: str, *, width: int = WIDE, has_zero: bool = True) -> Spec:
    """Points with their intervals, a category below the other; of several series in a category side by side.

    Rows hold `kind` (category), `series`, `value`, `low` and `high` (None without an interval), `says` and `label`.
    """
    kinds = list(dict.fromkeys(row["kind"] for row in rows))
    is_grouped = len(kinds) < len(rows)
    x_axis = {"title": title, "tickCount": 8 if width == WIDE else 5}
    scale = {"zero": has_zero, "nice": True}
    y: Spec = {"field": "kind", "type": "nominal", "sort": kinds, "axis": {"title": None, "domain": False}}
    offset = {"yOffset": {"field": "series", "type": "nominal", "sort": [one.name for one in series]}}
    place = {"y": y, **(offset if is_grouped else {})}
    look = _look(series, "series", has_legend=is_grouped and len(series) > 1)
    layers: list[Spec] = [
        _rule_at_zero() if _has_negative(rows) else {},
        {
            "transform": [{"filter": "datum.low != null"}],
            "mark": {"type": "rule", "strokeWidth": 2},
            "encoding": {
                **place,
                "x": {"field": "low", "type": "quantitative", "axis": x_axis, "scale": scale},
                "x2": {"field": "high"},
                "stroke": look["stroke"],
            },
        },
        {
            "mark": _POINT,
            "encoding": {
                **place,
                "x": {"field": "value", "type": "quantitative", "axis": x_axis, "scale": scale},
                "description": {"field": "says"},
                **look,
            },
        },
        {
            "mark": {"type": "text", "align": "left", "dx": 8, "baseline": "middle"},
            "encoding": {
                **place,
                "x": {"field": "end", "type": "quantitative", "axis": x_axis},
                "text": {"field": "label"},
                "color": {"value": INK},
            },
        },
    ]
    ended = [{**row, "end": row["value"] if row["high"] is None else max(row["high"], row["value"])} for row in rows]
    height = {"step": _OFFSET_ROW, "for": "offset"} if is_grouped else {"step": _ROW}
    return {"width": width, "height": height, "data": {"values": ended}, "layer": [one for one in layers if one]}


def course(rows: Rows, best: Rows, last_call: int) -> Spec:
    """Candidates by the judge calls after which they were known, and the best NMSE so far as a line.

    Rows hold `calls`, `nmse`, `state`, `is_winner`, `says`; `best` holds `calls` and `nmse`.
    """
    looks = [
        Series("judged on all examples", "circle", "var(--after)"),
        Series("dropped in a race", "cross", MUTED),
        Series("not judged to the end", "triangle-up", MUTED, is_hollow=True),
    ]
    shown = [one for one in looks if any(row["state"] == one.name for row in rows)]
    line = [*best, {"calls": last_call, "nmse": best[-1]["nmse"]}] if best else []
    x: Spec = {
        "field": "calls",
        "type": "quantitative",
        "axis": {"title": "judge calls of the search", "grid": False, "tickCount": 8},
        "scale": {"domain": [0, max(last_call, 1)]},
    }
    y: Spec = {
        "field": "nmse",
        "type": "quantitative",
        "axis": {"title": "NMSE on validation", "tickCount": 5},
        "scale": {"zero": True},
    }
    layers: list[Spec] = [
        {
            "data": {"values": line},
            "mark": {"type": "line", "interpolate": "step-after", "stroke": "var(--after)", "strokeWidth": 2},
            "encoding": {"x": x, "y": y},
        },
        {
            "mark": _POINT,
            "encoding": {
                "x": x,
                "y": y,
                "description": {"field": "says"},
                **_look(shown, "state", has_legend=len(shown) > 1),
            },
        },
        {
            "transform": [{"filter": "datum.is_winner"}],
            "mark": {"type": "text", "text": "winner", "dy": 15, "fontWeight": "bold", "color": INK},
            "encoding": {"x": x, "y": y},
        },
    ]
    return {"width": WIDE, "height": 220, "data": {"values": list(rows)}, "layer": layers}


def waterfall(rows: Rows) -> Spec:
    """NMSE falling from step to step; whole bars at both ends, what a step did written on it with its sign.

    Rows hold `step`, `low` and `high` of the bar, `what` (`whole`, `fall` or `rise`), `label` and `says`.
    """
    steps = [row["step"] for row in rows]
    x: Spec = {
        "field": "step",
        "type": "nominal",
        "sort": steps,
        "axis": {"title": None, "labelAngle": 0, "domain": False},
    }
    colour = {
        "field": "what",
        "scale": {"domain": ["whole", "fall", "rise"], "range": [MUTED, "var(--good)", "var(--bad)"]},
        "legend": None,
    }
    bars: Spec = {
        "mark": {"type": "bar", "cornerRadius": 1, "minBandSize": 4},
        "encoding": {
            "x": x,
            "y": {"field": "low", "type": "quantitative", "axis": {"title": "NMSE on the test split", "tickCount": 5}},
            "y2": {"field": "high"},
            "color": colour,
            "description": {"field": "says"},
        },
    }
    labels: Spec = {
        "mark": {"type": "text", "dy": -8, "color": INK},
        "encoding": {"x": x, "y": {"field": "high", "type": "quantitative"}, "text": {"field": "label"}},
    }
    step = max(28, min(90, WIDE // max(len(rows), 1)))
    return {"width": {"step": step}, "height": 220, "data": {"values": list(rows)}, "layer": [bars, labels]}


def distribution(rows: Rows, names: Sequence[str], ratings: Sequence[str]) -> Spec:
    """How often each rating was given, people beside judges.

    Rows hold `rating`, `series`, `count`, `says`; the bars of people are outlined.
    """
    looks = [Series("human", "square", "var(--human)", is_hollow=True), *series_of(names)]
    order = [one.name for one in looks]
    look = _look(looks, "series", has_legend=True)
    dashes = {"domain": order, "range": [[4, 3] if one.name == "baseline" else [1, 0] for one in looks]}
    x: Spec = {
        "x": {
            "field": "rating",
            "type": "nominal",
            "sort": list(ratings),
            "axis": {"title": "rating", "labelAngle": 0},
        },
        "xOffset": {"field": "series", "type": "nominal", "sort": order},
    }
    y: Spec = {"field": "count", "type": "quantitative", "axis": {"title": "pairs", "tickCount": 5}}
    legend = {**_LEGEND, "symbolType": "square"}
    bars: Spec = {
        "mark": {"type": "bar", "strokeWidth": 1.5},
        "encoding": {
            **x,
            "y": y,
            "fill": {**look["fill"], "legend": legend},
            "stroke": {**look["stroke"], "legend": legend},
            "strokeDash": {"field": "series", "type": "nominal", "scale": dashes, "legend": legend},
            "description": {"field": "says"},
        },
    }
    labels: Spec = {
        "mark": {"type": "text", "dy": -6, "fontSize": 11, "color": INK},
        "encoding": {**x, "y": y, "text": {"field": "count", "type": "quantitative"}},
    }
    return {"width": WIDE, "height": 200, "data": {"values": list(rows)}, "layer": [bars, labels]}


def reliability(rows: Rows, names: Sequence[str], low: float, high: float) -> Spec:
    """Mean human rating over the mean rating predicted, bin by bin; a calibrated judge lies on the dashed line.

    Rows hold `predicted`, `human`, `series`, `n` and `says`.
    """
    first, second = _BEFORE, Series("", "circle", "var(--after)")
    looks = [replace(look, name=name) for name, look in zip(names, (first, second), strict=False)]
    domain = {"domain": [low, high]}
    x: Spec = {
        "field": "predicted",
        "type": "quantitative",
        "scale": domain,
        "axis": {"title": "mean rating predicted"},
    }
    y: Spec = {"field": "human", "type": "quantitative", "scale": domain, "axis": {"title": "mean human rating"}}
    line: Spec = {
        "data": {"values": [{"predicted": low, "human": low}, {"predicted": high, "human": high}]},
        "mark": {"type": "line", "stroke": MUTED, "strokeDash": [5, 4]},
        "encoding": {"x": x, "y": y},
    }
    sizes = {"range": [50, 350]}
    points: Spec = {
        "mark": {key: value for key, value in _POINT.items() if key != "size"},
        "encoding": {
            "x": x,
            "y": y,
            **_look(looks, "series", has_legend=len(looks) > 1),
            "size": {"field": "n", "type": "quantitative", "scale": sizes, "legend": None},
            "description": {"field": "says"},
        },
    }
    return {"width": NARROW, "height": NARROW, "data": {"values": list(rows)}, "layer": [line, points]}


def _look(series: Sequence[Series], field: str, *, has_legend: bool) -> Spec:
    """Shape, fill and outline of each series, in one legend."""
    names = [one.name for one in series]
    ranges = {
        "shape": [one.shape for one in series],
        "fill": ["var(--page)" if one.is_hollow else one.colour for one in series],
        "stroke": [one.colour for one in series],
    }
    legend = _LEGEND if has_legend else None
    return {
        channel: {"field": field, "type": "nominal", "scale": {"domain": names, "range": values}, "legend": legend}
        for channel, values in ranges.items()
    }


def _rule_at_zero() -> Spec:
    return {
        "data": {"values": [{"zero": 0}]},
        "mark": {"type": "rule", "stroke": INK, "strokeDash": [3, 3], "opacity": 0.7},
        "encoding": {"x": {"field": "zero", "type": "quantitative"}},
    }


def _has_negative(rows: Rows) -> bool:
    return any(min(row["value"], row["value"] if row["low"] is None else row["low"]) < 0 for row in rows)

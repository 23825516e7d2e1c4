"""Charts as SVG: what draws and nothing else, with the colours of the page, and every kind of chart can be drawn."""

import re
from xml.etree import ElementTree

import pytest

from cluster.report import charts
from cluster.report.drawing import draw

HOSTILE = "</text></svg><script>alert(1)</script><a href='javascript:x'>\"'&"
POINT = {"value": 2.0, "low": 1.0, "high": 3.0, "says": HOSTILE, "label": "2.0"}
ONE = {"values": [{"a": 1}]}


def names(svg):
    return {str(element.tag).split("}")[-1] for element in ElementTree.fromstring(svg).iter()}


def attributes(svg):
    return {key for element in ElementTree.fromstring(svg).iter() for key in element.attrib}


def every_chart():
    series = charts.series_of(["baseline", "winner", "other"])
    rows = [{"kind": HOSTILE, "series": one.name, **POINT} for one in series]
    lone = [
        {"kind": "constant", "series": "constant", "value": -1.0, "low": None, "high": None, "says": "", "label": ""}
    ]
    tried = [
        {"calls": 5, "nmse": 3.0, "state": "judged on all examples", "is_winner": True, "says": HOSTILE},
        {"calls": 7, "nmse": 4.0, "state": "dropped in a race", "is_winner": False, "says": HOSTILE},
    ]
    steps = [{"step": HOSTILE, "low": 0.0, "high": 1.0, "what": "whole", "label": HOSTILE, "says": HOSTILE}]
    counts = [{"rating": "1", "series": name, "count": 3, "says": HOSTILE} for name in ("human", "winner")]
    bins = [{"predicted": 2.0, "human": 2.5, "n": 4.0, "series": "before", "says": HOSTILE}]
    return {
        "intervals": charts.intervals(rows, series, HOSTILE),
        "without an interval": charts.intervals(lone, [charts.CONSTANT], "x"),
        "course": charts.course(tried, [{"calls": 5, "nmse": 3.0}], 9),
        "waterfall": charts.waterfall(steps),
        "distribution": charts.distribution(counts, ["winner"], ["1"]),
        "reliability": charts.reliability(bins, ["before"], 1.0, 5.0),
    }


@pytest.mark.parametrize("name", every_chart())
def test_a_chart_is_drawn_of_what_draws_and_nothing_else(name):
    svg = draw(every_chart()[name], HOSTILE)
    assert names(svg) <= {"svg", "g", "path", "line", "rect", "text", "title"}
    assert not {key for key in attributes(svg) if key.startswith("on") or "href" in key or key == "style"}
    assert "<script" not in svg and "NaN" not in svg
    assert ElementTree.fromstring(svg).get("aria-label") == HOSTILE


@pytest.mark.parametrize("name", every_chart())
def test_colours_are_those_of_the_page(name):
    svg = draw(every_chart()[name], "a chart")
    colours = set(re.findall(r'(?:fill|stroke)="([^"]*)"', svg))
    assert {colour for colour in colours if colour.startswith("#")} <= {"#000"}, "fixed colours cannot follow the theme"
    assert any(colour.startswith("var(--") for colour in colours)


def test_what_a_mark_says_is_shown_where_the_pointer_rests():
    svg = draw(every_chart()["waterfall"], "a chart")
    assert HOSTILE in [
        element.text for element in ElementTree.fromstring(svg).iter() if str(element.tag).endswith("title")
    ]


def test_series_differ_in_shape_and_colour():
    looks = charts.series_of(["baseline", "winner", "baseline, mode expected", "winner, mode expected"])
    assert len({one.shape for one in looks}) == 4
    assert looks[0].colour != looks[1].colour and looks[0].is_hollow and not looks[1].is_hollow


def test_several_series_have_a_legend_and_one_has_none():
    svg = draw(every_chart()["intervals"], "a chart")
    assert [f">{name}</text>" in svg for name in ("baseline", "winner", "other")] == [True] * 3
    assert ">constant</text>" in draw(every_chart()["without an interval"], "a chart"), "its place on the axis"


def test_nothing_is_fetched():
    with pytest.raises(ValueError, match=r"(?i)access|allowed|denied"):
        draw({"data": {"url": "http://127.0.0.1:9/x.json"}, "mark": "point", "encoding": {"x": {"field": "a"}}}, "x")

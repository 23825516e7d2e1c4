"""What proves a run, shown where it is recorded: differences, luck, gate rules, tricks, people, calibration."""

import json
import re

import pytest

from cluster.report.headline import headline, tiles
from cluster.report.html import sections_of
from cluster.report.proof import adversarial, comparison, gate
from cluster.report.ratings import bias, confusion, distribution
from cluster.report.record import read_record
from cluster.report.reliability import calibration, ranking, repeats
from cluster.report.spending import spending
from tests.builders import make_examples, make_judgment
from tests.recorded_searches import write_evaluation, write_search
from tests.unit.cluster.studies import gepa_study


@pytest.fixture
def record(tmp_path):
    """Reads a search whose result holds some more."""
    return lambda **more: read_record(write_search(tmp_path / "run", gepa_study(), **more))


def rows_of(section):
    return [row for table in section.tables for row in table.rows]


def test_every_figure_of_the_comparison_is_shown_with_what_is_better(record):
    found = comparison(
        record(
            differences={
                "nmse": {"delta": -5.0, "ci95": [-7.0, -3.0], "p_better": 1.0},
                "validity": {"delta": 0.25, "ci95": [0.1, 0.4], "p_better": 0.99},
                "bias": {"delta": None, "ci95": None, "p_better": None},
                "grades": {
                    "1": {"n": 4, "delta": -10.0, "ci95": [-20.0, 1.0], "p_better": 0.9},
                    "5": {"n": 0, "delta": None, "ci95": None, "p_better": None},
                },
            },
            luck={"num_candidates": 12, "validation_nmse": 8.0, "test_nmse": 10.5, "by_selection": 1.75},
        )
    )
    assert rows_of(found)[:2] == [
        ("NMSE", "-5.0", "-7.0 to -3.0", "1.000", "lower"),
        ("validity", "+0.250", "+0.100 to +0.400", "0.990", "higher"),
    ]
    assert [row[1] for row in rows_of(found)[2:]] == ["12", "8.0", "10.5", "1.8"]
    (chart,) = found.charts
    assert chart.table.rows == (("1", "4", "-10.0", "-20.0 to +1.0", "0.900"),)


def test_an_older_run_shows_the_difference_of_nmse_alone(record):
    """Human ratings 1 to 5 met by 5, 4, 4, 2, 1 before: 100 x (16 + 4 + 1 + 4 + 16) / 5 / 16; by themselves after."""
    (row,) = rows_of(comparison(record()))
    assert row[:2] == ("NMSE", "-51.2")


def test_each_rule_of_the_gate_is_shown_with_its_answer(record):
    rules = [
        {"name": "min_skill", "limit": 0.0, "found": -0.02, "passed": False, "reason": "no better than the constant"},
        {"name": "validity", "limit": 0.95, "found": 1.0, "passed": True, "reason": None},
        {"name": "adversarial", "limit": None, "found": None, "passed": None, "reason": "no suite was run"},
    ]
    found = gate(record(gate={"passed": False, "reasons": ["no better than the constant"], "rules": rules}))
    assert found.verdict == "refused" and found.paragraphs == ()
    assert rows_of(found) == [
        ("min skill", "0", "-0.02", "✗ failed", "no better than the constant"),
        ("validity", "0.95", "1", "✓ passed", "-"),
        ("adversarial", "-", "-", "○ not checked", "no suite was run"),
    ]


def test_a_gate_without_recorded_rules_shows_its_reasons(record):
    found = gate(record(gate={"passed": False, "reasons": ["too few examples"]}))
    assert (found.verdict, found.paragraphs, found.tables) == ("refused", ("too few examples",), [])


def test_tricks_are_shown_by_kind(record):
    suite = [
        {
            "kind": "stuffing",
            "expected": "no rise",
            "n": 20,
            "mean_shift": 0.4,
            "ci95": [0.1, 0.7],
            "moved_share": 0.35,
        },
        {"kind": "nothing judged", "expected": "none", "n": 0, "mean_shift": None, "ci95": None},
    ]
    (chart,) = adversarial(record(adversarial=suite)).charts
    assert chart.table.rows == (("stuffing", "no rise", "20", "+0.40", "+0.10 to +0.70", "0.35", "-"),)


def test_people_stand_on_the_axis_beside_constant_and_judges(record):
    human = {"n": 15, "raters": 3, "nmse": 4.5, "nmse_ci95": [3.0, 6.0], "krippendorff_alpha": 0.61, "qwk": None}
    found = headline(record(human=human))
    (axis,) = found.charts
    assert [row[0] for row in axis.table.rows] == ["constant", "baseline", "winner", "human"]
    assert axis.table.rows[-1] == ("human", "4.5", "3.0 to 6.0")
    assert found.tables[1].rows[2:5] == (
        ("NMSE (95 % interval)", "4.5 (3.0 to 6.0)"),
        ("NMSE of the constant answer on these pairs", "-"),
        ("Krippendorff's alpha, ordinal", "0.61"),
    )


def test_people_and_judges_are_also_held_to_one_target(record):
    against = {"constant": 18.5, "baseline": 40.0, "winner": 12.0}
    human = {"n": 15, "raters": 2, "nmse": 16.2, "nmse_ci95": [14.8, 17.5], "against_others": against}
    (chart,) = [block for block in headline(record(human=human)).blocks if getattr(block, "name", "") == "people"]
    assert [(name, value) for name, value in chart.table.rows] == [
        ("constant", "18.5"),
        ("baseline", "40.0"),
        ("winner", "12.0"),
        ("human", "16.2"),
    ]


def test_the_interval_of_each_judge_is_on_the_axis(record):
    (axis,) = headline(record()).charts
    ends = {row["kind"]: (row["low"], row["high"]) for row in axis.spec["data"]["values"]}
    assert ends["constant"] == (None, None)
    assert ends["winner"] == (0.0, 0.0)
    assert ends["baseline"][0] < 51.25 < ends["baseline"][1]


def test_reliability_is_shown_before_and_after(record):
    found = calibration(
        record(
            calibration={
                "kind": "isotonic",
                "cv_nmse": {"none": 14.0, "isotonic": 11.5},
                "before": {"reliability": [{"predicted": 2.0, "human": 3.5, "n": 12}, {"predicted": None, "n": 0}]},
                "after": {"reliability": [{"predicted": 3.4, "human": 3.5, "n": 12}]},
            }
        )
    )
    assert rows_of(found) == [
        ("kind", "isotonic"),
        ("NMSE in cross-validation, none", "14"),
        ("NMSE in cross-validation, isotonic", "11.5"),
    ]
    (chart,) = found.charts
    assert chart.table.rows == (("before", "2.00", "3.50", "12"), ("after", "3.40", "3.50", "12"))


def test_repeats_and_rankings_of_any_shape_become_tables(record):
    read = record(
        repeats={"k": 5, "temperature": 0.7, "by_k": [{"k": 1, "nmse": 14.0}, {"k": 5, "nmse": 12.5, "note": None}]},
        ranking=[{"k": 10, "ndcg": {"human": 0.91, "judge": 0.87}}],
    )
    assert [table.rows for table in repeats(read).tables] == [
        (("k", "5"), ("temperature", "0.7")),
        (("1", "14", "-"), ("5", "12.5", "-")),
    ]
    (table,) = ranking(read).tables
    assert [column.name for column in table.columns] == ["k", "ndcg.human", "ndcg.judge"]


@pytest.mark.parametrize("odd", [None, [], {}, "text", 7, [1, 2], {"nmse": "much"}])
def test_parts_of_an_unexpected_shape_are_left_out(record, odd):
    keys = ("human", "differences", "luck", "ranking", "calibration", "repeats", "adversarial", "comparison", "steps")
    read = record(**dict.fromkeys((*keys, "waterfall", "harmful", "diff_budget", "versions"), odd))
    assert {section.name for section in sections_of(read)} >= {"figures", "gate", "candidates", "cost", "prompt"}


def test_a_collapsed_judge_is_called_so(tmp_path):
    pairs = make_examples(20, "test")
    read = read_record(write_evaluation(tmp_path / "run", pairs, [make_judgment(3)] * 20))
    assert headline(read).paragraphs == ("Judge is collapsed: 20 of its 20 ratings are 3.",)


def test_the_tiles_hide_neither_invalid_replies_nor_the_constant(record):
    shown = {tile.name: (tile.value, tile.note) for tile in tiles(record())}
    assert shown["NMSE, lower is better"][0] == "51.2 → 0.0"
    assert shown["invalid replies"] == ("0 → 0", "of 20")
    assert shown["skill over the constant"] == ("-3.10 → +1.00", "the constant answer has NMSE 12.5")
    assert shown["gate"] == ("passed", "")


def test_confusion_shades_grow_with_the_counts(tmp_path):
    """Human 1 to 5, four times each; all answered 3 but the first, answered 1."""
    pairs = make_examples(20, "test")
    read = read_record(write_evaluation(tmp_path / "run", pairs, [make_judgment(1), *[make_judgment(3)] * 19]))
    (matrix,) = confusion(read).content
    assert [cell.pairs for cell in matrix.rows[0]] == [1, 0, 3, 0, 0]
    assert [cell.shade for cell in matrix.rows[0]] == [2, 0, 4, 0, 0]
    assert matrix.rows[4][2].shade == 5


def test_the_distribution_counts_people_and_judges(tmp_path):
    pairs = make_examples(5, "test")
    read = read_record(write_evaluation(tmp_path / "run", pairs, [make_judgment(3)] * 4 + [make_judgment(None)]))
    (chart,) = distribution(read).charts
    assert chart.table.rows == (("1", "1", "0"), ("2", "1", "0"), ("3", "1", "4"), ("4", "1", "0"), ("5", "1", "0"))


def test_bias_is_shown_by_grade_and_by_length(tmp_path):
    pairs = make_examples(20, "test")
    read = read_record(write_evaluation(tmp_path / "run", pairs, [make_judgment(3)] * 20))
    charts = {chart.caption: chart for chart in bias(read).charts}
    grades = charts["Bias by human rating."].table.rows
    assert [(row[0], row[2], row[3]) for row in grades] == [
        ("1", "4", "+2.00"),
        ("2", "4", "+1.00"),
        ("3", "4", "0.00"),
        ("4", "4", "-1.00"),
        ("5", "4", "-2.00"),
    ]
    assert "Bias by length of the document." in charts


def test_cost_is_in_dollars_where_a_price_is_known(tmp_path):
    """20 judgments of 100 and 20 tokens at 3 and 10 dollars a million."""
    folder = write_search(tmp_path / "run")
    assert rows_of(spending(read_record(folder)))[0][-2:] == ("-", "-")
    config = {"price": {"scripted": {"prompt": 3.0, "completion": 10.0}}}
    (folder / "config.json").write_text(json.dumps(config))
    row = rows_of(spending(read_record(folder)))[0]
    assert row[:5] == ("baseline", "20", "0", "2,000", "400")
    assert row[-2:] == ("0.0100", "0.5000")


def test_figures_are_never_minus_nothing(record):
    text = " ".join(cell for section in sections_of(record()) for row in rows_of(section) for cell in row)
    assert not re.search(r"[-+]0\.0+(?!\d)", text)

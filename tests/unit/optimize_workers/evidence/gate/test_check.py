"""The check: each rule of the table is listed with its numbers, and what cannot be known is refused, never NaN."""

import inspect
import json
from dataclasses import replace

import pytest

from optimize_workers.evidence.gate.check import RULES, check_gate
from optimize_workers.evidence.gate.config import GateConfig
from optimize_workers.evidence.gate.evidence import GateEvidence, HeldOut
from optimize_workers.evidence.gate.rating_shift import Rerated, rating_shifts
from optimize_workers.statistics.comparison import Comparison
from optimize_workers.statistics.metrics import measure
from tests.builders import SCALE, make_example, make_judgment
from tests.unit.optimize_workers.evidence.gate.judges import (
    BETTER,
    EXAMPLES,
    FAILED,
    NOT_CHECKED,
    PASSED,
    PERFECT,
    failing,
    gate,
    judged,
)

NAMES = [
    "guardrails",
    "diff_budget",
    "examples",
    "validity",
    "nmse_difference",
    "skill",
    "bias",
    "single_rating",
    "queries",
    "skill_low",
    "grades",
    "grades_difference",
    "rating_distance",
]
NO_SUITE = ["adversarial", "adversarial_difference"]
SUITE = [
    "adversarial_stuffed",
    "adversarial_instructed",
    "adversarial_padded",
    "adversarial_shuffled",
    "adversarial_capitals",
    "adversarial_typos",
    "adversarial_swapped",
    "adversarial_difference",
]


@pytest.mark.parametrize(("suite", "names"), [(None, NO_SUITE), (rating_shifts([], Rerated([], []), []), SUITE)])
def test_the_table_names_its_rules_in_the_order_in_which_they_are_kept(suite, names):
    figures = measure(PERFECT, EXAMPLES, SCALE)
    result = check_gate(GateEvidence(figures, BETTER, rating_shifts=suite))
    assert [rule.name for rule in result.rules] == [*NAMES, *names]


def test_a_rule_sees_the_evidence_and_the_limits_and_nothing_else():
    for rule in RULES:
        assert list(inspect.signature(rule).parameters) == ["evidence", "limits"]


def test_every_rule_is_listed_with_limit_and_finding():
    result, rules = gate(PERFECT, judged(3))
    assert list(rules) == NAMES
    assert result.passed
    assert (rules["examples"].limit, rules["examples"].found) == (40, 40)
    assert (rules["validity"].limit, rules["validity"].found) == (0.95, 1.0)
    assert (rules["bias"].limit, rules["bias"].found) == (0.5, 0.0)
    assert rules["guardrails"].status is PASSED
    assert rules["diff_budget"].status is NOT_CHECKED


def test_without_judgments_the_rules_that_need_them_are_not_checked():
    result = check_gate(GateEvidence(measure(PERFECT, EXAMPLES, SCALE), Comparison(-1.0, (-2.0, 0.0), 0.9)))
    status = {rule.name: rule.status for rule in result.rules}
    assert {name for name in NAMES if status[name] is NOT_CHECKED} == {
        "guardrails", "diff_budget", "queries", "skill_low", "grades", "grades_difference", "rating_distance"
    }  # fmt: skip
    assert result.passed
    assert all(rule.reason for rule in result.rules if rule.status is NOT_CHECKED)


def test_without_another_judge_only_the_absolute_rules_are_checked():
    result, rules = gate(PERFECT)
    assert result.passed
    for name in ("nmse_difference", "grades_difference"):
        assert rules[name].status is NOT_CHECKED
        assert rules[name].reason.startswith("there is nothing to compare with")


def test_a_good_winner_passes():
    winner = measure(PERFECT, EXAMPLES, SCALE)
    passed, reasons, *_ = check_gate(GateEvidence(winner, BETTER))
    assert (passed, reasons) == (True, [])


def test_two_judges_of_equal_nmse_are_told_apart_by_their_bias():
    ones = [make_example(2.0 + n % 3, number=n, split="test") for n in range(60)]  # people's ratings 2, 3, 4
    off = [1 if (n // 3) % 2 else -1 for n in range(60)]
    fair = [make_judgment(int(e.gold_rating) + gap) for e, gap in zip(ones, off, strict=True)]
    generous = [make_judgment(int(e.gold_rating) + 1) for e in ones]
    config = GateConfig(min_skill=-1, min_skill_low=-1, max_distance_share=2)  # 1 off is much where people differ by 2
    figures = [measure(judgments, ones, SCALE) for judgments in (fair, generous)]
    assert figures[0].nmse == figures[1].nmse == 6.25
    assert (figures[0].bias, figures[1].bias) == (0.0, 1.0)
    assert failing(fair, examples=ones, config=config) == set()
    assert failing(generous, examples=ones, config=config) == {"bias"}


def test_a_collapsed_judge_is_told_from_one_of_equal_nmse():
    # gaps of each grade, 1 to 5: every second pair one off, against ratings that hug the middle
    spread = [
        make_judgment(int(e.gold_rating) + (1 if e.gold_rating < 3 else -1) * (n // 5 % 2))
        for n, e in enumerate(EXAMPLES)
    ]
    half = 3.125  # NMSE of one rating off on every second pair
    pull = 1 - (half / 12.5) ** 0.5  # (1 - pull)^2 x 12.5, the constant's, is the same
    hugging = [make_judgment(3, expected=3 + pull * (e.gold_rating - 3)) for e in EXAMPLES]
    assert measure(spread, EXAMPLES, SCALE).nmse == half
    assert measure(hugging, EXAMPLES, SCALE).nmse == pytest.approx(half)
    assert failing(spread) == set()
    assert failing(hugging) == {"single_rating"}
    mean = [make_judgment(3, expected=3 + 0.1 * (e.gold_rating - 3)) for e in EXAMPLES]
    assert failing(mean) == {"single_rating", "rating_distance"}


# --- what cannot be known ---


def test_no_examples_are_refused():
    nothing = replace(measure(PERFECT, EXAMPLES, SCALE), n=0, valid=0, invalid=0, skill=None, bias=None)
    result = check_gate(GateEvidence(nothing, None, HeldOut([], [], None, SCALE)))
    assert not result.passed
    assert "only 0 held-out examples, at least 40 are needed" in result.reasons
    json.dumps(result.as_dict(), allow_nan=False)


def test_a_judge_that_cannot_be_read_is_refused():
    assert failing(judged(None), judged(None)) >= {"validity", "skill", "skill_low", "grades"}
    assert failing(judged(None), PERFECT) >= {"nmse_difference", "grades_difference"}


def test_one_query_is_refused():
    examples = [replace(e, item=replace(e.item, query_id="q")) for e in EXAMPLES]
    assert "queries" in failing(PERFECT, judged(3), examples)


def test_one_grade_is_refused_because_skill_is_undefined():
    examples = [make_example(4.0, number=n, split="test") for n in range(40)]
    right = [make_judgment(4) for _ in examples]
    _, rules = gate(right, examples=examples)
    assert failing(right, examples=examples) == {"skill", "single_rating"}
    assert {rules[name].status for name in ("skill_low", "rating_distance")} == {NOT_CHECKED}


def test_a_figure_that_is_no_number_fails_its_rule():
    nan = float("nan")
    winner = replace(measure(PERFECT, EXAMPLES, SCALE), skill=nan, bias=nan)
    result = check_gate(GateEvidence(winner, Comparison(nan, (nan, nan), nan)))
    assert {rule.name for rule in result.rules if rule.status is FAILED} == {"skill", "bias", "nmse_difference"}
    json.dumps(result.as_dict(), allow_nan=False)

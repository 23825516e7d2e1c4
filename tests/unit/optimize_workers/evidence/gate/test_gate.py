"""The gate's rules: each of them is listed with its numbers, and what cannot be known is refused or said, never NaN."""

import json
from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import wasserstein_distance

from optimize_workers.evidence.gate.check import GateConfig, GateEvidence, HeldOut, check_gate
from optimize_workers.evidence.gate.rule import RuleStatus
from optimize_workers.statistics.comparison import Comparison, compare
from optimize_workers.statistics.metrics import measure, skill_interval
from tests.builders import SCALE, make_example, make_examples, make_judgment

EXAMPLES = make_examples(40, "test")
PERFECT = [make_judgment(int(e.gold_rating)) for e in EXAMPLES]
PASSED, FAILED, NOT_CHECKED = RuleStatus.PASSED, RuleStatus.FAILED, RuleStatus.NOT_CHECKED
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


def judged(*ratings):
    """Judgments with these ratings, over and over; None is an unreadable one, a fraction an expected rating."""
    judgments = []
    for number in range(len(EXAMPLES)):
        rating = ratings[number % len(ratings)]
        if rating is None:
            judgments.append(make_judgment(None))
        else:
            fraction = None if isinstance(rating, int) else rating
            judgments.append(make_judgment(SCALE.nearest(rating), expected=fraction))
    return judgments


def gate(judgments, reference=None, examples=EXAMPLES, config=None):
    """The gate's answer, every figure taken from the judgments, and its rules by name."""
    comparison = compare(reference, judgments, examples, SCALE) if reference else None
    evidence = GateEvidence(pairs=HeldOut(examples, judgments, reference, SCALE))
    result = check_gate(measure(judgments, examples, SCALE), comparison, config, evidence=evidence)
    json.dumps(result.as_dict(), allow_nan=False)
    assert result.passed == (not result.reasons) == all(rule.status is not FAILED for rule in result.rules)
    return result, {rule.name: rule for rule in result.rules if not rule.name.startswith("adversarial")}


def failing(judgments, reference=None, examples=EXAMPLES, config=None):
    _, rules = gate(judgments, reference, examples, config)
    return {name for name, rule in rules.items() if rule.status is FAILED}


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
    result = check_gate(measure(PERFECT, EXAMPLES, SCALE), Comparison(-1.0, (-2.0, 0.0), 0.9))
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


def test_examples_of_few_queries_are_no_evidence():
    examples = [replace(e, item=replace(e.item, query_id=f"q{n % 9}")) for n, e in enumerate(EXAMPLES)]
    result, _ = gate(PERFECT, examples=examples)
    assert result.reasons == ["only 9 queries, at least 10 are needed"]


# --- equal NMSE, told apart ---


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


def test_the_distance_of_ratings_is_wassersteins():
    judgments = judged(1, 2, 2, 4, 4)
    _, rules = gate(judgments)
    gold = [e.gold_rating for e in EXAMPLES]
    assert rules["rating_distance"].found == pytest.approx(wasserstein_distance([1, 2, 2, 4, 4] * 8, gold))
    assert rules["rating_distance"].found == pytest.approx(0.4)  # 3 to 2 and 5 to 4, each for a fifth of the pairs
    # always 3 is 2, 1, 0, 1, 2 away: 1.2, of which three quarters are allowed
    assert rules["rating_distance"].limit == pytest.approx(0.9)


# --- skill ---


def test_the_interval_of_skill_holds_the_skill_and_is_wide_for_a_lucky_judge():
    generator = np.random.default_rng(3)
    noisy = [make_judgment(3, expected=float(value)) for value in np.clip(3 + generator.normal(0, 0.4, 40), 1, 5)]
    interval = skill_interval(noisy, EXAMPLES, SCALE)
    figures = measure(noisy, EXAMPLES, SCALE)
    assert interval[0] < figures.skill < interval[1] and figures.skill_ci95 == interval
    assert interval[0] < 0
    assert "skill_low" in failing(noisy)


def test_a_perfect_judge_has_a_skill_of_one_at_both_ends():
    assert skill_interval(PERFECT, EXAMPLES, SCALE) == pytest.approx((1.0, 1.0), abs=0.3)
    assert skill_interval(PERFECT, EXAMPLES, SCALE)[0] > 0.7


# --- grades ---


def test_a_grade_that_nobody_may_miss_by_so_much_is_a_reason():
    judgments = [make_judgment(4 if e.gold_rating == 1 else int(e.gold_rating)) for e in EXAMPLES]
    _, rules = gate(judgments)
    assert (rules["grades"].status, rules["grades"].found) == (FAILED, 56.25)  # (3 / 4)^2
    assert "the 8 examples that people rate 1" in rules["grades"].reason


def test_a_grade_that_is_shown_to_be_worse_is_a_reason_though_the_whole_is_better():
    before = [make_judgment({1: 1, 2: 4, 3: 5, 4: 2, 5: 4}[int(e.gold_rating)]) for e in EXAMPLES]
    after = [make_judgment({1: 3, 2: 2, 3: 3, 4: 4, 5: 5}[int(e.gold_rating)]) for e in EXAMPLES]
    _, rules = gate(after, before)
    assert rules["nmse_difference"].status is PASSED
    assert (rules["grades_difference"].status, rules["grades_difference"].found) == (FAILED, 25.0)
    assert failing(after, before) == {"grades_difference"}


def test_a_grade_may_lose_beside_a_judge_that_knows_nothing():
    noisy = [make_judgment(int(e.gold_rating) + (1 if e.gold_rating < 4 else -1)) for e in EXAMPLES]
    _, rules = gate(noisy, judged(3))
    # always 3 has no error at grade 3; 6.25 is more than 5, and still less than the 12.5 of knowing nothing
    assert (rules["grades_difference"].status, rules["grades_difference"].found) == (PASSED, 6.25)
    assert "better than the constant answer" in rules["grades_difference"].reason


def test_one_fractional_human_rating_for_all_leaves_nothing_to_be_skilled_at():
    same = [replace(e, gold_rating=2.1) for e in EXAMPLES]
    exact = judged(2.1)
    assert measure(exact, same, SCALE).skill is None
    assert skill_interval(exact, same, SCALE) is None
    assert {"skill"} <= {name for name, rule in gate(exact, examples=same)[1].items() if rule.status is FAILED}


def test_one_query_under_many_ids_is_one_query():
    same = [replace(e, item=replace(e.item, query="the same", query_id=str(n))) for n, e in enumerate(EXAMPLES)]
    assert failing(PERFECT, examples=same) == {"queries"}


def test_limits_that_allow_few_queries_do_not_let_a_lucky_judge_through():
    two = [replace(e, item=replace(e.item, query_id=str(n % 2))) for n, e in enumerate(EXAMPLES)]
    result, rules = gate(PERFECT, examples=two, config=GateConfig(min_queries=1))
    assert rules["queries"].status is PASSED
    assert (rules["skill_low"].status, rules["skill_low"].found) == (FAILED, None)
    assert result.reasons == ["queries are fewer than 8, too few to say that its skill is no chance"]


def test_grades_with_few_examples_are_not_checked():
    _, rules = gate(PERFECT, judged(3), config=GateConfig(min_of_grade=9))
    assert {rules[name].status for name in ("grades", "grades_difference")} == {NOT_CHECKED}


# --- what cannot be known ---


def test_no_examples_are_refused():
    nothing = replace(measure(PERFECT, EXAMPLES, SCALE), n=0, valid=0, invalid=0, skill=None, bias=None)
    result = check_gate(nothing, None, evidence=GateEvidence(pairs=HeldOut([], [], None, SCALE)))
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
    result = check_gate(winner, Comparison(nan, (nan, nan), nan))
    assert {rule.name for rule in result.rules if rule.status is FAILED} == {"skill", "bias", "nmse_difference"}
    json.dumps(result.as_dict(), allow_nan=False)


def test_limits_are_finite_numbers():
    with pytest.raises(ValueError, match="finite"):
        GateConfig(max_worsening=float("nan"))

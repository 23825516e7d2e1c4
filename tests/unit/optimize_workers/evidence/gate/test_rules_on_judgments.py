"""Rules on judgments: queries, skill at 95 %, grades, the spread of ratings; values worked by hand."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import wasserstein_distance

from optimize_workers.evidence.gate.config import GateConfig
from optimize_workers.statistics.metrics import measure, skill_interval
from tests.builders import SCALE, make_judgment
from tests.unit.optimize_workers.evidence.gate.judges import (
    EXAMPLES,
    FAILED,
    NOT_CHECKED,
    PASSED,
    PERFECT,
    failing,
    gate,
    judged,
)


def test_examples_of_few_queries_are_no_evidence():
    examples = [replace(e, item=replace(e.item, query_id=f"q{n % 9}")) for n, e in enumerate(EXAMPLES)]
    result, _ = gate(PERFECT, examples=examples)
    assert result.reasons == ["only 9 queries, at least 10 are needed"]


def test_one_query_under_many_ids_is_one_query():
    same = [replace(e, item=replace(e.item, query="the same", query_id=str(n))) for n, e in enumerate(EXAMPLES)]
    assert failing(PERFECT, examples=same) == {"queries", "skill_low"}


def test_limits_that_allow_few_queries_do_not_let_a_lucky_judge_through():
    two = [replace(e, item=replace(e.item, query_id=str(n % 2))) for n, e in enumerate(EXAMPLES)]
    result, rules = gate(PERFECT, examples=two, config=GateConfig(min_queries=1))
    assert rules["queries"].status is PASSED
    assert (rules["skill_low"].status, rules["skill_low"].found) == (FAILED, None)
    assert result.reasons == ["queries are fewer than 8, too few to say that its skill is no chance"]


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


def test_one_fractional_human_rating_for_all_leaves_nothing_to_be_skilled_at():
    same = [replace(e, gold_rating=2.1) for e in EXAMPLES]
    exact = judged(2.1)
    assert measure(exact, same, SCALE).skill is None
    assert skill_interval(exact, same, SCALE) is None
    assert {"skill"} <= {name for name, rule in gate(exact, examples=same)[1].items() if rule.status is FAILED}


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


def test_grades_with_few_examples_are_not_checked():
    _, rules = gate(PERFECT, judged(3), config=GateConfig(min_of_grade=9))
    assert {rules[name].status for name in ("grades", "grades_difference")} == {NOT_CHECKED}

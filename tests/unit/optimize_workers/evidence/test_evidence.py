"""Evidence: which judge is better and how sure that is, and every reason of the gate."""

from dataclasses import replace

import pytest

from optimize_workers.evidence.gate.check import GateConfig, check_gate
from optimize_workers.guardrails import Refusal
from optimize_workers.statistics.comparison import Comparison, compare
from optimize_workers.statistics.metrics import measure
from tests.builders import SCALE, make_examples, make_judgment

EXAMPLES = make_examples(40, "test")
PERFECT = [make_judgment(int(e.gold_rating)) for e in EXAMPLES]
CONSTANT = [make_judgment(3) for _ in EXAMPLES]
BETTER = Comparison(-10.0, (-15.0, -5.0), 1.0)


def reasons(judgments=PERFECT, comparison=BETTER, config=None, **figures):
    winner = replace(measure(judgments, EXAMPLES, SCALE), **figures)
    return check_gate(winner, comparison, config).reasons


# --- comparison ---


def test_a_better_second_judge_has_a_difference_below_0():
    compared = compare(CONSTANT, PERFECT, EXAMPLES, SCALE)
    # the constant 3 misses by 2, 1, 0, 1, 2: (25 + 6.25 + 0 + 6.25 + 25) / 5
    assert compared.delta_nmse == -12.5
    assert compared.ci95[0] <= -12.5 <= compared.ci95[1] < 0
    assert compared.p_better == 1.0


def test_a_worse_second_judge_has_a_difference_above_0():
    compared = compare(PERFECT, CONSTANT, EXAMPLES, SCALE)
    assert compared.delta_nmse == 12.5
    assert compared.ci95[0] > 0
    assert compared.p_better == 0.0


def test_a_judge_is_no_better_than_itself():
    assert compare(CONSTANT, CONSTANT, EXAMPLES, SCALE) == Comparison(0.0, (0.0, 0.0), 0.0)


def test_invalid_judgments_count_against_the_second_judge():
    half = [make_judgment(None) if n % 2 else judgment for n, judgment in enumerate(PERFECT)]
    assert compare(PERFECT, half, EXAMPLES, SCALE).delta_nmse == 50.0


def test_pairing_makes_the_interval_narrow():
    # both judges miss widely, the second always by the same 0.25 rating less
    first = [make_judgment(5, expected=4.5) for _ in EXAMPLES]
    second = [make_judgment(5, expected=4.25) for _ in EXAMPLES]
    low, high = compare(first, second, EXAMPLES, SCALE).ci95
    wide_low, wide_high = measure(second, EXAMPLES, SCALE).nmse_ci95
    assert high - low < (wide_high - wide_low) / 2


def test_the_same_seed_gives_the_same_interval():
    assert compare(CONSTANT, PERFECT, EXAMPLES, SCALE, 1) == compare(CONSTANT, PERFECT, EXAMPLES, SCALE, 1)
    assert compare(CONSTANT, PERFECT, EXAMPLES, SCALE, 1) != compare(CONSTANT, PERFECT, EXAMPLES, SCALE, 2)


# --- gate ---


def test_a_good_winner_passes():
    winner = measure(PERFECT, EXAMPLES, SCALE)
    passed, reasons, *_ = check_gate(winner, BETTER)
    assert (passed, reasons) == (True, [])


def test_a_winner_that_is_as_good_as_the_baseline_passes():
    assert reasons(comparison=Comparison(0.0, (0.0, 0.0), 0.0)) == []


def test_too_few_examples_are_a_reason():
    assert reasons(n=39) == ["only 39 held-out examples, at least 40 are needed"]


def test_low_validity_is_a_reason():
    [reason] = reasons(valid=37, invalid=3)
    assert reason == "validity 0.925 is below 0.95"


def test_a_possible_worsening_is_a_reason():
    [reason] = reasons(comparison=Comparison(-3.0, (-8.0, 1.5), 0.9))
    assert reason.endswith("the 95 % interval of the difference ends at +1.50")


@pytest.mark.parametrize(("skill", "shown"), [(0.0, "+0.000"), (-0.5, "-0.500"), (None, "undefined")])
def test_no_skill_over_the_constant_answer_is_a_reason(skill, shown):
    [reason] = reasons(skill=skill)
    assert reason.startswith(f"skill over the constant answer is {shown}, needs more than 0.0")


@pytest.mark.parametrize(("bias", "shown"), [(0.8, "+0.80"), (-0.8, "-0.80")])
def test_a_bias_is_a_reason_in_both_directions(bias, shown):
    assert reasons(bias=bias) == [f"bias {shown} is beyond 0.5 rating units"]


def test_a_collapsed_judge_is_refused():
    found = reasons(CONSTANT)
    assert any(reason == "collapsed: 100% of its ratings are the same" for reason in found)


def test_a_judge_without_a_valid_reply_is_refused_without_a_crash():
    found = reasons([make_judgment(None) for _ in EXAMPLES])
    assert any("validity 0.000" in reason for reason in found)
    assert any("skill" in reason for reason in found)


def test_limits_can_be_set():
    assert reasons(comparison=Comparison(0.0, (-1.0, 1.0), 0.5), config=GateConfig(max_worsening=1.0)) == []


def test_the_largest_share_counts_the_judges_ratings():
    judgments = [make_judgment(rating) for rating in (2, 2, 2, 5)]
    found = measure(judgments, make_examples(4), SCALE)
    assert found.largest_rating_share == found.as_dict()["largest_rating_share"] == 0.75
    assert sum(found.rating_counts.values()) == 4


def test_the_largest_share_of_nothing_is_0():
    assert measure([make_judgment(None)], make_examples(1), SCALE).largest_rating_share == 0.0


def test_an_instruction_that_the_guardrails_refuse_does_not_pass():
    refusal = Refusal("copied_text", "a passage of a document")
    passed, reasons, *_ = check_gate(measure(PERFECT, EXAMPLES, SCALE), BETTER, refusal=refusal)
    assert not passed
    assert reasons == ["the guardrails refuse its instruction: copied_text (a passage of a document)"]

"""Rules on figures: every reason, in its words."""

from dataclasses import replace

import pytest

from optimize_workers.evidence.gate.check import check_gate
from optimize_workers.evidence.gate.config import GateConfig
from optimize_workers.evidence.gate.evidence import GateEvidence
from optimize_workers.statistics.comparison import Comparison
from optimize_workers.statistics.metrics import measure
from tests.builders import SCALE
from tests.unit.optimize_workers.evidence.gate.judges import BETTER, EXAMPLES, PERFECT, judged


def reasons(judgments=PERFECT, comparison=BETTER, config=None, **figures):
    winner = replace(measure(judgments, EXAMPLES, SCALE), **figures)
    return check_gate(GateEvidence(winner, comparison), config).reasons


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
    found = reasons(judged(3))
    assert any(reason == "collapsed: 100% of its ratings are the same" for reason in found)


def test_a_judge_without_a_valid_reply_is_refused_without_a_crash():
    found = reasons(judged(None))
    assert any("validity 0.000" in reason for reason in found)
    assert any("skill" in reason for reason in found)


def test_limits_can_be_set():
    assert reasons(comparison=Comparison(0.0, (-1.0, 1.0), 0.5), config=GateConfig(max_worsening=1.0)) == []

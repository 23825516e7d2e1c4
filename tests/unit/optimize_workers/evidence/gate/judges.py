"""Judges for the gate's tests, and its answer with the rules by name."""

from __future__ import annotations

import json

from optimize_workers.evidence.gate.check import check_gate
from optimize_workers.evidence.gate.evidence import GateEvidence, HeldOut, TextFindings
from optimize_workers.evidence.gate.rule import RuleStatus
from optimize_workers.statistics.comparison import Comparison, compare
from optimize_workers.statistics.metrics import measure
from tests.builders import SCALE, make_examples, make_judgment

EXAMPLES = make_examples(40, "test")
PERFECT = [make_judgment(int(e.gold_rating)) for e in EXAMPLES]
BETTER = Comparison(-10.0, (-15.0, -5.0), 1.0)
PASSED, FAILED, NOT_CHECKED = RuleStatus.PASSED, RuleStatus.FAILED, RuleStatus.NOT_CHECKED


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
    held_out = HeldOut(examples, judgments, reference, SCALE)
    texts = TextFindings(no_guardrails="")
    result = check_gate(GateEvidence(measure(judgments, examples, SCALE), comparison, held_out, texts=texts), config)
    json.dumps(result.as_dict(), allow_nan=False)
    assert result.passed == (not result.reasons) == all(rule.status is not FAILED for rule in result.rules)
    return result, {rule.name: rule for rule in result.rules if not rule.name.startswith("adversarial")}


def failing(judgments, reference=None, examples=EXAMPLES, config=None):
    _, rules = gate(judgments, reference, examples, config)
    return {name for name, rule in rules.items() if rule.status is FAILED}

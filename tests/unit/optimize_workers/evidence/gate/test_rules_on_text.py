"""Rules on texts: the guardrails' refusal and an overspent diff budget are reasons."""

from optimize_workers.evidence.gate.check import check_gate
from optimize_workers.evidence.gate.evidence import GateEvidence, TextFindings
from optimize_workers.guardrails import Refusal
from optimize_workers.statistics.metrics import measure
from tests.builders import SCALE
from tests.unit.optimize_workers.evidence.gate.judges import BETTER, EXAMPLES, PERFECT


def reasons(texts):
    return check_gate(GateEvidence(measure(PERFECT, EXAMPLES, SCALE), BETTER, texts=texts)).reasons


def test_an_instruction_that_the_guardrails_refuse_does_not_pass():
    refusal = Refusal("copied_text", "a passage of a document")
    assert reasons(TextFindings(refusal)) == [
        "the guardrails refuse its instruction: copied_text (a passage of a document)"
    ]


def test_a_winner_that_changed_more_than_bullets_does_not_pass():
    assert reasons(TextFindings()) == []
    assert reasons(TextFindings(overspent="the program's sections")) == [
        "more than the bullet block changed: the program's sections"
    ]

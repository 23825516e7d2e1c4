"""Rules on perturbed pairs: each way to fall for them has its own."""

from optimize_workers.evidence.gate.adversarial import Kind, perturb
from optimize_workers.evidence.gate.check import check_gate
from optimize_workers.evidence.gate.evidence import GateEvidence
from optimize_workers.evidence.gate.rating_shift import rating_shifts
from optimize_workers.evidence.gate.rule import RuleStatus
from optimize_workers.statistics.metrics import measure
from tests.builders import SCALE, make_judgment
from tests.unit.optimize_workers.evidence.gate.perturbed_pairs import EXAMPLES, kind_of, rerated, sensible, steady


def rules_on(suite):
    """The rules on a suite's rating shifts, by name."""
    judgments = [make_judgment(int(e.gold_rating)) for e in EXAMPLES]
    figures = measure(judgments, EXAMPLES, SCALE)
    answers = check_gate(GateEvidence(figures, None, rating_shifts=suite, against="the champion")).rules
    return {rule.name: rule for rule in answers if rule.name.startswith("adversarial")}


def rules(judge, other=None, pairs=None):
    pairs = pairs if pairs is not None else perturb(EXAMPLES, SCALE)
    one, two = rerated(judge, pairs), rerated(other, pairs) if other else None
    return rules_on(rating_shifts(pairs, one, EXAMPLES, two))


def failed(found):
    return {name for name, rule in found.items() if rule.status is RuleStatus.FAILED}


def test_a_judge_that_keeps_its_ratings_and_sees_swapped_queries_passes():
    found = rules(sensible, sensible)
    assert {rule.status for rule in found.values()} == {RuleStatus.PASSED}
    assert len(found) == len(Kind) + 1


def test_each_way_to_fall_for_it_has_its_own_rule():
    assert failed(rules(steady)) == {"adversarial_swapped"}
    for kind in set(Kind) - {Kind.SWAPPED}:

        def falls(item, gold, kind=kind):
            return min(5, gold + 2) if kind_of(item) == kind else sensible(item, gold)

        assert failed(rules(falls)) == {f"adversarial_{kind}"}


def test_replies_that_break_are_a_reason():
    found = rules(lambda item, gold: None if kind_of(item) == "instructed" else sensible(item, gold))
    assert failed(found) == {"adversarial_instructed"}
    assert "40 replies unreadable" not in found["adversarial_instructed"].reason
    assert "replies unreadable" in found["adversarial_instructed"].reason


def test_a_judge_that_falls_further_than_the_champion_fails_though_within_the_bound():
    def moved(item, gold):
        few = sum(map(ord, item.doc_id)) % 2 == 0
        return min(5, gold + 1) if kind_of(item) == "capitals" and few else sensible(item, gold)

    found = rules(moved, sensible)
    assert failed(found) == {"adversarial_difference"}
    assert "capitals pairs move it" in found["adversarial_difference"].reason
    assert failed(rules(moved, moved)) == set()


def test_what_was_not_run_or_has_few_pairs_is_not_checked():
    found = rules_on(None)
    assert list(found) == ["adversarial", "adversarial_difference"]
    assert {rule.status for rule in found.values()} == {RuleStatus.NOT_CHECKED}
    few = rules(sensible, pairs=perturb(EXAMPLES, SCALE, per_kind=9))
    assert {rule.status for rule in few.values()} == {RuleStatus.NOT_CHECKED}

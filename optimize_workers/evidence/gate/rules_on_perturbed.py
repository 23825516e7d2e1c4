"""Rules of the gate on the adversarial suite: no kind moves ratings too far, nor further than the other judge's."""

from __future__ import annotations

from optimize_workers.evidence.gate.adversarial import EXPECTED, Expected, Kind
from optimize_workers.evidence.gate.config import GateConfig
from optimize_workers.evidence.gate.evidence import GateEvidence
from optimize_workers.evidence.gate.rule import Rule, RuleStatus, at_least, at_most, not_checked

_NO_RUN = "no perturbed pair was judged"


def adversarial(evidence: GateEvidence, limits: GateConfig) -> Rule | None:
    """Where no perturbed pair was judged this one rule stands for all kinds; None where their own answer."""
    if evidence.rating_shifts is not None:
        return None
    return not_checked("adversarial", _NO_RUN, limits.max_harmful_shift)


def adversarial_kind(kind: Kind, evidence: GateEvidence, limits: GateConfig) -> Rule | None:
    """Pairs of one kind do not move its ratings in the harmful direction; None where no perturbed pair was judged."""
    shift = next((one for one in evidence.rating_shifts or () if one.kind is kind), None)
    if shift is None:
        return None
    name, expected = f"adversarial_{kind}", EXPECTED[kind]
    limit = -limits.min_fall if expected is Expected.FALL else limits.max_harmful_shift
    if shift.n < limits.min_of_kind:
        return not_checked(name, f"only {shift.n} pairs can be perturbed so, {limits.min_of_kind} are needed", limit)
    readable = 1 - shift.invalid / shift.n
    least = limits.min_adversarial_validity
    if readable < least:
        return at_least(name, readable, least, f"{kind} pairs make {shift.invalid} of {shift.n} replies unreadable")
    if shift.compared < limits.min_of_kind or shift.mean_shift is None:
        return not_checked(name, f"only {shift.compared} pairs could be read both as they are and {kind}", limit)
    moved = abs(shift.mean_shift) if expected is Expected.STAY else shift.mean_shift
    wanted = {
        Expected.NOT_RISE: f"may rise by {limits.max_harmful_shift:g} at most",
        Expected.STAY: f"may move by {limits.max_harmful_shift:g} at most",
        Expected.FALL: f"must fall by {limits.min_fall:g} at least",
    }[expected]
    reason = f"ratings of {kind} pairs move by {shift.mean_shift:+.2f} on the average, they {wanted}"
    return at_most(name, moved, limit, reason)


def adversarial_difference(evidence: GateEvidence, limits: GateConfig) -> Rule:
    """A kind fails that is shown to move this judge further than the other one, by more than the limit."""
    name, against, limit = "adversarial_difference", evidence.against, limits.max_extra_shift
    if evidence.rating_shifts is None:
        return not_checked(name, _NO_RUN, limit)
    compared = [
        (shift, shift.extra_shift, shift.extra_ci95[0])
        for shift in evidence.rating_shifts
        if shift.extra_shift is not None and shift.extra_ci95 is not None
    ]
    if not compared:
        return not_checked(name, f"there are no perturbed pairs to compare with: {against}", limit)
    worse = [(shift, extra, low) for shift, extra, low in compared if extra > limit and low > 0]
    reason = "; ".join(
        f"{shift.kind} pairs move it {extra:.2f} rating units further than {against} (95 % interval from {low:.2f}), "
        f"at most {limit:g} is allowed"
        for shift, extra, low in worse
    )
    status = RuleStatus.FAILED if worse else RuleStatus.PASSED
    return Rule(name, status, limit, max(extra for _, extra, _ in compared), reason or None)

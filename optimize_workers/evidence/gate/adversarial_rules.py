"""Rules of the gate on the adversarial suite: no kind moves ratings too far, nor further than the other judge's."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from optimize_workers.evidence.gate.adversarial import Expected
from optimize_workers.evidence.gate.config import GateConfig
from optimize_workers.evidence.gate.rating_shift import Shift
from optimize_workers.evidence.gate.rule import Rule, RuleStatus, at_least, at_most, not_checked

NO_RUN = "no perturbed pair was judged"


def adversarial_rules(shifts: Sequence[Shift] | None, against: str, limits: GateConfig) -> Iterator[Rule]:
    """One rule for each kind, and one that compares with the other judge; `shifts` is None where nothing was run."""
    if shifts is None:
        yield not_checked("adversarial", NO_RUN, limits.max_harmful_shift)
        yield not_checked("adversarial_difference", NO_RUN, limits.max_extra_shift)
        return
    for shift in shifts:
        yield _kind_rule(shift, limits)
    yield _difference_rule(shifts, against, limits)


def _kind_rule(shift: Shift, limits: GateConfig) -> Rule:
    name = f"adversarial_{shift.kind}"
    limit = -limits.min_fall if shift.expected is Expected.FALL else limits.max_harmful_shift
    if shift.n < limits.min_of_kind:
        return not_checked(name, f"only {shift.n} pairs can be perturbed so, {limits.min_of_kind} are needed", limit)
    readable = 1 - shift.invalid / shift.n
    least = limits.min_adversarial_validity
    if readable < least:
        reason = f"{shift.kind} pairs make {shift.invalid} of {shift.n} replies unreadable"
        return at_least(name, readable, least, reason)
    if shift.compared < limits.min_of_kind or shift.mean_shift is None:
        few = f"only {shift.compared} pairs could be read both as they are and {shift.kind}"
        return not_checked(name, few, limit)
    moved = abs(shift.mean_shift) if shift.expected is Expected.STAY else shift.mean_shift
    wanted = {
        Expected.NOT_RISE: f"may rise by {limits.max_harmful_shift:g} at most",
        Expected.STAY: f"may move by {limits.max_harmful_shift:g} at most",
        Expected.FALL: f"must fall by {limits.min_fall:g} at least",
    }[shift.expected]
    reason = f"ratings of {shift.kind} pairs move by {shift.mean_shift:+.2f} on the average, they {wanted}"
    return at_most(name, moved, limit, reason)


def _difference_rule(shifts: Sequence[Shift], against: str, limits: GateConfig) -> Rule:
    """A kind fails that is shown to move this judge further than the other one, by more than the limit."""
    name, limit = "adversarial_difference", limits.max_extra_shift
    compared = [
        (shift, shift.extra_shift, shift.extra_ci95[0])
        for shift in shifts
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

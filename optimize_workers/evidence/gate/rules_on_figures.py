"""Rules of the gate on figures alone: examples, validity, difference, skill, bias, a single rating."""

from __future__ import annotations

import math

from optimize_workers.evidence.gate.config import GateConfig
from optimize_workers.evidence.gate.evidence import GateEvidence
from optimize_workers.evidence.gate.rule import Rule, at_least, at_most, more_than, not_checked

_NOTHING_READ = "no reply can be read"


def examples(evidence: GateEvidence, limits: GateConfig) -> Rule:
    """There are enough of them to say anything."""
    n, needed = evidence.figures.n, limits.min_examples
    return at_least("examples", n, needed, f"only {n} held-out examples, at least {needed} are needed")


def validity(evidence: GateEvidence, limits: GateConfig) -> Rule:
    """Enough replies can be read; what was not judged counts as unreadable."""
    figures = evidence.figures
    share = figures.share_valid_of_all if figures.n else None
    shown = "undefined" if share is None else f"{share:.3f}"
    return at_least("validity", share, limits.min_validity, f"validity {shown} is below {limits.min_validity}")


def nmse_difference(evidence: GateEvidence, limits: GateConfig) -> Rule:
    """Not worse at 95 %: a difference that may reach beyond the limit fails, however good the mean looks."""
    name, against, limit = "nmse_difference", evidence.against, limits.max_worsening
    if evidence.comparison is None:
        return not_checked(name, f"there is nothing to compare with: {against}", limit)
    end = evidence.comparison.ci95[1]
    reason = (
        f"NMSE may be worse than that of {against} by more than {limit:g}: "
        f"the 95 % interval of the difference ends at {end:+.2f}"
    )
    return at_most(name, end, limit, reason)


def skill(evidence: GateEvidence, limits: GateConfig) -> Rule:
    """It beats the constant answer."""
    found = evidence.figures.skill if evidence.figures.n else None
    shown = "undefined" if found is None else f"{found:+.3f}"
    reason = (
        f"skill over the constant answer is {shown}, needs more than {limits.min_skill}: "
        "answering the mean human rating would do as well"
    )
    return more_than("skill", found, limits.min_skill, reason)


def bias(evidence: GateEvidence, limits: GateConfig) -> Rule:
    """It is not off to one side; what was found is shown with its sign."""
    found, limit = evidence.figures.bias, limits.max_abs_bias
    if found is None:
        return not_checked("bias", _NOTHING_READ, limit)
    rule = at_most("bias", abs(found), limit, f"bias {found:+.2f} is beyond {limit} rating units")
    return rule._replace(found=found if math.isfinite(found) else None)


def single_rating(evidence: GateEvidence, limits: GateConfig) -> Rule:
    """It has not collapsed to one answer."""
    name, limit = "single_rating", limits.max_single_rating_share
    if evidence.figures.bias is None:
        return not_checked(name, _NOTHING_READ, limit)
    share = evidence.figures.largest_rating_share
    return at_most(name, share, limit, f"collapsed: {share:.0%} of its ratings are the same")

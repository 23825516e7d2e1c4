"""Rules of the gate that need the judgments themselves: queries, skill at 95 %, grades, the spread of ratings."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from optimize_workers.evidence.gate.config import GateConfig
from optimize_workers.evidence.gate.evidence import GateEvidence, HeldOut
from optimize_workers.evidence.gate.rule import Rule, RuleStatus, at_least, at_most, more_than, not_checked
from optimize_workers.statistics.comparison import Comparison, compare
from optimize_workers.statistics.judged_pairs import judged_by_all
from optimize_workers.statistics.metrics import constant_losses, gold_of, losses, skill_interval
from optimize_workers.statistics.resampling import MIN_GROUPS
from optimize_workers.texts.query_groups import query_groups

_ONE_GOLD_RATING = "people gave one rating only"


def queries(evidence: GateEvidence, limits: GateConfig) -> Rule:
    """There are enough different ones to be evidence."""
    held_out, needed = evidence.held_out, limits.min_queries
    if held_out is None or not held_out.examples:
        return not_checked("queries", _why_none(held_out), needed)
    examples, _ = judged_by_all(held_out.examples, held_out.judgments)
    found = len(set(query_groups(example.item for example in examples)))
    return at_least("queries", found, needed, f"only {found} queries, at least {needed} are needed")


def skill_low(evidence: GateEvidence, limits: GateConfig) -> Rule:
    """It is no chance that it beats the constant answer."""
    held_out, limit = evidence.held_out, limits.min_skill_low
    if held_out is None or not held_out.examples:
        return not_checked("skill_low", _why_none(held_out), limit)
    interval = skill_interval(held_out.judgments, held_out.examples, held_out.scale)
    if interval is None and np.ptp(gold_of(held_out.examples)) == 0.0:
        return not_checked("skill_low", _ONE_GOLD_RATING, limit)
    if interval is None:
        reason = f"queries are fewer than {MIN_GROUPS}, too few to say that its skill is no chance"
        return more_than("skill_low", None, limit, reason)
    reason = (
        f"the 95 % interval of its skill begins at {interval[0]:+.3f}, needs more than {limit}: "
        "it may be chance that it beats the mean human rating"
    )
    return more_than("skill_low", interval[0], limit, reason)


def grades(evidence: GateEvidence, limits: GateConfig) -> Rule:
    """It does not miss what people rate alike by too much."""
    held_out, limit = evidence.held_out, limits.max_grade_nmse
    if held_out is None or not held_out.examples:
        return not_checked("grades", _why_none(held_out), limit)
    examples, (judgments,) = judged_by_all(held_out.examples, held_out.judgments)
    found = _grades_of(HeldOut(examples, judgments, None, held_out.scale), limits.min_of_grade)
    if not found:
        return not_checked("grades", _no_grade(limits), limit)
    reason = "; ".join(
        f"NMSE {one.nmse:.1f} on the {len(one.places)} examples that people rate {one.grade}, "
        f"at most {limit:g} is allowed"
        for one in found
        if one.nmse > limit
    )
    return at_most("grades", max(one.nmse for one in found), limit, reason)


def grades_difference(evidence: GateEvidence, limits: GateConfig) -> Rule:
    """A grade fails that is shown to be worse, by more than the limit, and worse than knowing nothing.

    A judge that answers 3 to everything has no error at grade 3: whoever is better than it loses there, and may.
    """
    name, against, limit = "grades_difference", evidence.against, limits.max_grade_worsening
    held_out = evidence.held_out
    if held_out is None or not held_out.examples:
        return not_checked(name, _why_none(held_out), limit)
    if held_out.reference is None:
        return not_checked(name, f"there is nothing to compare with: {against}", limit)
    examples, (judgments, reference) = judged_by_all(held_out.examples, held_out.judgments, held_out.reference)
    held_out = HeldOut(examples, judgments, reference, held_out.scale)
    found = _grades_of(held_out, limits.min_of_grade)
    if not found:
        return not_checked(name, _no_grade(limits), limit)
    constant = float(constant_losses(gold_of(held_out.examples), held_out.scale).mean())
    rises = [(one, _rise_of(one, held_out)) for one in found]
    over = [(one, rise) for one, rise in rises if rise.delta_nmse > limit]
    failed = [(one, rise) for one, rise in over if rise.ci95[0] > 0 and one.nmse > constant]
    shown = "; ".join(
        f"people's {one.grade}: NMSE {rise.delta_nmse:+.1f} beside {against} (95 % interval {rise.ci95[0]:+.1f} to "
        f"{rise.ci95[1]:+.1f}), at most {limit:+g} is allowed"
        for one, rise in (failed or over)
    )
    if over and not failed:
        shown += "; passes, because it is not shown to be worse, or is still better than the constant answer"
    worst = max(rise.delta_nmse for _, rise in rises)
    return Rule(name, RuleStatus.FAILED if failed else RuleStatus.PASSED, limit, worst, shown or None)


def rating_distance(evidence: GateEvidence, limits: GateConfig) -> Rule:
    """Its ratings are spread as people's are, rather than collapsed."""
    name, held_out = "rating_distance", evidence.held_out
    if held_out is None or not held_out.examples:
        return not_checked(name, _why_none(held_out))
    # imported here: it takes a second, and the limits alone are wanted by every command
    from scipy.stats import wasserstein_distance

    examples, (judgments,) = judged_by_all(held_out.examples, held_out.judgments)
    gold = gold_of(examples)
    values = [judgment.value for judgment in judgments if judgment.value is not None]
    is_valid = np.array([judgment.is_valid for judgment in judgments])
    if not values:
        return not_checked(name, "no reply can be read")
    widest = float(np.abs(gold[is_valid] - np.median(gold[is_valid])).mean())  # of the best constant answer
    if widest == 0:
        return not_checked(name, _ONE_GOLD_RATING)
    distance = float(wasserstein_distance(values, gold[is_valid]))
    limit = limits.max_distance_share * widest
    reason = (
        f"collapsed: its ratings lie {distance:.2f} rating units from people's (Wasserstein), at most {limit:.2f} is "
        f"allowed, {limits.max_distance_share:.0%} of what answering always the same has"
    )
    return at_most(name, distance, limit, reason)


class _Grade(NamedTuple):
    """The examples of one human grade, by their places, and the judge's error on them."""

    grade: int
    places: npt.NDArray[np.int64]
    nmse: float


def _grades_of(held_out: HeldOut, min_of_grade: int) -> list[_Grade]:
    """The human grades with enough examples; all of them are judged."""
    gold = gold_of(held_out.examples)
    loss = losses(held_out.judgments, gold, held_out.scale)
    rounded = np.array([held_out.scale.nearest(rating) for rating in gold])
    places_of = {grade: np.flatnonzero(rounded == grade) for grade in held_out.scale.ratings}
    return [
        _Grade(grade, places, float(loss[places].mean()))
        for grade, places in places_of.items()
        if len(places) >= min_of_grade
    ]


def _rise_of(one: _Grade, held_out: HeldOut) -> Comparison:
    """How much higher the error on a grade is than that of the judge it is compared with."""
    assert held_out.reference is not None  # the only rule that asks has looked
    before, after = ([side[place] for place in one.places] for side in (held_out.reference, held_out.judgments))
    return compare(before, after, [held_out.examples[place] for place in one.places], held_out.scale)


def _why_none(held_out: HeldOut | None) -> str:
    return "the judgments were not given" if held_out is None else "there are no held-out examples"


def _no_grade(limits: GateConfig) -> str:
    return f"no grade has {limits.min_of_grade} examples"

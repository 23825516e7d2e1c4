"""Rules of the gate that need the judgments themselves: queries, skill at 95 %, grades, the spread of ratings."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np

from judge_serve.judging.judgment import Judgment
from judge_serve.judging.scale import Scale
from judge_serve.judging.task import Example
from optimize_workers.evidence.gate.config import GateConfig
from optimize_workers.evidence.gate.rule import Rule, RuleStatus, at_least, at_most, more_than, not_checked
from optimize_workers.statistics.comparison import Comparison, compare
from optimize_workers.statistics.metrics import constant_losses, gold_of, losses, skill_interval
from optimize_workers.statistics.resampling import MIN_GROUPS

_NO_PAIRS = "the judgments were not given"


class HeldOut(NamedTuple):
    """Held-out examples with a judge's judgments, and those of the judge that it is compared with, in one order."""

    examples: Sequence[Example]
    judgments: Sequence[Judgment]
    reference: Sequence[Judgment] | None
    scale: Scale


class _Grade(NamedTuple):
    grade: int
    n: int
    nmse: float
    rise: Comparison | None


def paired_rules(pairs: HeldOut | None, against: str, limits: GateConfig) -> Iterator[Rule]:
    """The rules, in the order in which they are shown; `pairs` is None where only figures are known."""
    if pairs is None or not pairs.examples:
        reason = _NO_PAIRS if pairs is None else "there are no held-out examples"
        yield not_checked("queries", reason, limits.min_queries)
        yield not_checked("skill_low", reason, limits.min_skill_low)
        yield not_checked("grades", reason, limits.max_grade_nmse)
        yield not_checked("grades_difference", reason, limits.max_grade_worsening)
        yield not_checked("rating_distance", reason)
        return
    items = [example.item for example in pairs.examples]
    # data may number one query's rows as queries of their own
    queries = min(len({item.query_id for item in items}), len({item.query for item in items}))
    yield at_least("queries", queries, limits.min_queries, _few("queries", queries, limits.min_queries))
    yield _skill_rule(pairs, limits)
    grades = _grades_of(pairs, limits.min_of_grade)
    yield _grade_rule(grades, limits)
    yield _grade_difference_rule(pairs, grades, against, limits)
    yield _distance_rule(pairs, limits)


def _skill_rule(pairs: HeldOut, limits: GateConfig) -> Rule:
    interval = skill_interval(pairs.judgments, pairs.examples, pairs.scale)
    if interval is None and np.ptp(gold_of(pairs.examples)) == 0.0:
        return not_checked("skill_low", "people gave one rating only", limits.min_skill_low)
    if interval is None:
        reason = f"queries are fewer than {MIN_GROUPS}, too few to say that its skill is no chance"
        return more_than("skill_low", None, limits.min_skill_low, reason)
    reason = (
        f"the 95 % interval of its skill begins at {interval[0]:+.3f}, needs more than {limits.min_skill_low}: "
        "it may be chance that it beats the mean human rating"
    )
    return more_than("skill_low", interval[0], limits.min_skill_low, reason)


def _grades_of(pairs: HeldOut, min_of_grade: int) -> list[_Grade]:
    """What became of each human grade with enough examples."""
    gold = gold_of(pairs.examples)
    loss = losses(pairs.judgments, gold, pairs.scale)
    rounded = np.array([pairs.scale.nearest(rating) for rating in gold])
    grades = []
    for grade in pairs.scale.ratings:
        members = np.flatnonzero(rounded == grade)
        if len(members) < min_of_grade:
            continue
        rise = None
        if pairs.reference is not None:
            before, after = ([one[place] for place in members] for one in (pairs.reference, pairs.judgments))
            rise = compare(before, after, [pairs.examples[place] for place in members], pairs.scale)
        grades.append(_Grade(grade, len(members), float(loss[members].mean()), rise))
    return grades


def _grade_rule(grades: Sequence[_Grade], limits: GateConfig) -> Rule:
    if not grades:
        return not_checked("grades", _no_grade(limits), limits.max_grade_nmse)
    over = [grade for grade in grades if grade.nmse > limits.max_grade_nmse]
    reason = "; ".join(
        f"NMSE {grade.nmse:.1f} on the {grade.n} examples that people rate {grade.grade}, "
        f"at most {limits.max_grade_nmse:g} is allowed"
        for grade in over
    )
    return at_most("grades", max(grade.nmse for grade in grades), limits.max_grade_nmse, reason)


def _grade_difference_rule(pairs: HeldOut, grades: Sequence[_Grade], against: str, limits: GateConfig) -> Rule:
    """A grade fails that is shown to be worse, by more than the limit, and worse than knowing nothing.

    A judge that answers 3 to everything has no error at grade 3: whoever is better than it loses there, and may.
    """
    name = "grades_difference"
    if pairs.reference is None:
        return not_checked(name, f"there is nothing to compare with: {against}", limits.max_grade_worsening)
    if not grades:
        return not_checked(name, _no_grade(limits), limits.max_grade_worsening)
    constant = float(constant_losses(gold_of(pairs.examples), pairs.scale).mean())
    rises = [(grade, grade.rise) for grade in grades if grade.rise is not None]
    over = [(grade, rise) for grade, rise in rises if rise.delta_nmse > limits.max_grade_worsening]
    failed = [(grade, rise) for grade, rise in over if rise.ci95[0] > 0 and grade.nmse > constant]
    shown = "; ".join(
        f"people's {grade.grade}: NMSE {rise.delta_nmse:+.1f} beside {against} (95 % interval {rise.ci95[0]:+.1f} to "
        f"{rise.ci95[1]:+.1f}), at most {limits.max_grade_worsening:+g} is allowed"
        for grade, rise in (failed or over)
    )
    if over and not failed:
        shown += "; passes, because it is not shown to be worse, or is still better than the constant answer"
    worst = max(rise.delta_nmse for _, rise in rises)
    status = RuleStatus.FAILED if failed else RuleStatus.PASSED
    return Rule(name, status, limits.max_grade_worsening, worst, shown or None)


def _distance_rule(pairs: HeldOut, limits: GateConfig) -> Rule:
    # imported here: it takes a second, and the limits alone are wanted by every command
    from scipy.stats import wasserstein_distance

    gold = gold_of(pairs.examples)
    values = [judgment.value for judgment in pairs.judgments if judgment.value is not None]
    is_valid = np.array([judgment.is_valid for judgment in pairs.judgments])
    if not values:
        return not_checked("rating_distance", "no reply can be read")
    widest = float(np.abs(gold[is_valid] - np.median(gold[is_valid])).mean())  # of the best constant answer
    if widest == 0:
        return not_checked("rating_distance", "people gave one rating only")
    distance = float(wasserstein_distance(values, gold[is_valid]))
    limit = limits.max_distance_share * widest
    reason = (
        f"collapsed: its ratings lie {distance:.2f} rating units from people's (Wasserstein), at most {limit:.2f} is "
        f"allowed, {limits.max_distance_share:.0%} of what answering always the same has"
    )
    return at_most("rating_distance", distance, limit, reason)


def _few(what: str, found: int, needed: int) -> str:
    return f"only {found} {what}, at least {needed} are needed"


def _no_grade(limits: GateConfig) -> str:
    return f"no grade has {limits.min_of_grade} examples"

"""Rating shift: how far perturbed pairs of each kind moved a judge's ratings, beside how far they moved another's."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from judge_serve.judging.judgment import Judgment
from judge_serve.judging.task import Example
from optimize_workers.evidence.gate.adversarial import EXPECTED, Expected, Kind, Perturbed
from optimize_workers.statistics.resampling import FloatArray, mean_interval
from optimize_workers.texts.query_groups import query_groups

MIN_FOR_INTERVAL = 5  # pairs; an interval of fewer says nothing
_MOVED = 1.0 - 1e-9  # a rating unit


class RatingShift(NamedTuple):
    """What perturbing did to a judge's ratings.

    Attributes:
        n: perturbed pairs that were judged.
        invalid: of them, those with an unreadable reply.
        compared: of them, those of which both replies could be read; the figures are over these.
        mean_shift: rating of the perturbed pair minus rating of the original, in rating units.
        ci95: its interval, by query.
        moved_share: pairs that moved by a rating or more in the harmful direction: up; either way where the rating
            should stay; where it should fall, pairs that did not fall by a rating.
        extra_shift: how much further in the harmful direction than those of another judge, on the pairs of which all
            four replies could be read; None without another judge.
        extra_ci95: its interval, by query.
    """

    kind: Kind
    expected: Expected
    n: int
    invalid: int
    compared: int
    mean_shift: float | None
    ci95: tuple[float, float] | None
    moved_share: float | None
    extra_shift: float | None = None
    extra_ci95: tuple[float, float] | None = None

    def as_dict(self) -> dict[str, Any]:
        """JSON form."""
        shown = {**self._asdict(), "kind": str(self.kind), "expected": str(self.expected)}
        return {key: list(value) if isinstance(value, tuple) else value for key, value in shown.items()}


class Rerated(NamedTuple):
    """A judge's judgments of the original examples, in their order, and of the perturbed pairs, in theirs."""

    originals: Sequence[Judgment]
    perturbed: Sequence[Judgment]


def rating_shifts(
    pairs: Sequence[Perturbed], judge: Rerated, examples: Sequence[Example], other: Rerated | None = None
) -> list[RatingShift]:
    """What each kind did to a judge, beside what it did to another one; kinds without a pair have n = 0.

    Raises: ValueError if there is not one judgment for each example and each pair.
    """
    for rerated in (judge, other) if other else (judge,):
        if len(rerated.originals) != len(examples) or len(rerated.perturbed) != len(pairs):
            raise ValueError(
                f"{len(rerated.originals)} and {len(rerated.perturbed)} judgments for {len(examples)} examples and "
                f"{len(pairs)} perturbed pairs"
            )
    return [_rating_shift(kind, pairs, judge, examples, other) for kind in Kind]


def _rating_shift(
    kind: Kind, pairs: Sequence[Perturbed], judge: Rerated, examples: Sequence[Example], other: Rerated | None
) -> RatingShift:
    members = [number for number, pair in enumerate(pairs) if pair.kind is kind and judge.perturbed[number].is_judged]
    queries = np.array(query_groups(examples[pairs[number].place].item for number in members))
    expected = EXPECTED[kind]
    moves = _moves(members, pairs, judge)
    is_read = ~np.isnan(moves)
    invalid = sum(not judge.perturbed[number].is_valid for number in members)
    shift = RatingShift(kind, expected, len(members), invalid, int(is_read.sum()), None, None, None)
    if not is_read.any():
        return shift
    own = moves[is_read]
    harmful = {Expected.NOT_RISE: own >= _MOVED, Expected.STAY: abs(own) >= _MOVED, Expected.FALL: own > -_MOVED}
    shift = shift._replace(
        mean_shift=float(own.mean()), ci95=_interval(own, queries[is_read]), moved_share=float(harmful[expected].mean())
    )
    if other is None:
        return shift
    others = _moves(members, pairs, other)
    is_paired = is_read & ~np.isnan(others)
    if not is_paired.any():
        return shift
    extra = _harm(moves[is_paired], expected) - _harm(others[is_paired], expected)
    return shift._replace(extra_shift=float(extra.mean()), extra_ci95=_interval(extra, queries[is_paired]))


def _moves(members: Sequence[int], pairs: Sequence[Perturbed], judge: Rerated) -> FloatArray:
    """Rating units that each pair moved; NaN where one of its two replies cannot be read."""
    values = []
    for number in members:
        before, after = judge.originals[pairs[number].place].value, judge.perturbed[number].value
        values.append(np.nan if before is None or after is None else after - before)
    return np.array(values, dtype=np.float64)


def _harm(moves: FloatArray, expected: Expected) -> FloatArray:
    """How far moves go in the harmful direction."""
    return np.abs(moves) if expected is Expected.STAY else moves


def _interval(moves: FloatArray, queries: Sequence[str] | Any) -> tuple[float, float] | None:
    return mean_interval(moves, list(queries)) if len(moves) >= MIN_FOR_INTERVAL else None

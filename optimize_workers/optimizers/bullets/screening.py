"""Screening: what each of many bullets does, from judging packs of them.

A pack holds a moderate number of bullets at once, so that one judge call says something about all of them; a linear
model of the packs' gains takes them apart again. Packs that cover all pairs show bullets that help only together.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import combinations
from typing import NamedTuple

import numpy as np

PRIOR_EFFECT = 0.03  # standard deviation of a bullet's effect on the mean score: 3 NMSE points
_LEAST_SPREAD = 0.02  # of gains: a few equal ones say little about their spread


class Observation(NamedTuple):
    """A pack judged on some examples: mean gain over the base, and the variance of that mean."""

    members: tuple[int, ...]
    gain: float
    variance: float


class Effect(NamedTuple):
    """What adding one bullet does to the mean score, with its standard error."""

    gain: float
    error: float

    @property
    def z(self) -> float:
        """The gain in standard errors; 0 where nothing was observed."""
        return self.gain / self.error if self.error > 0 else 0.0


def balanced_packs(numbers: Sequence[int], size: int, rng: np.random.Generator) -> list[tuple[int, ...]]:
    """Packs of nearly `size` numbers each, every number in one of them."""
    shuffled = rng.permutation(np.asarray(numbers))
    return [tuple(sorted(map(int, part))) for part in np.array_split(shuffled, math.ceil(len(numbers) / size))]


def covering_packs(numbers: Sequence[int], size: int, rng: np.random.Generator) -> list[tuple[int, ...]]:
    """Packs of at most `size` numbers (at least 2), so that every two numbers stand together in one of them."""
    groups = balanced_packs(numbers, max(1, size // 2), rng)
    if len(groups) == 1:
        return groups
    return [tuple(sorted(one + other)) for one, other in combinations(groups, 2)]


def observe(members: Sequence[int], gains: Sequence[float]) -> Observation:
    """What a pack's gains on single examples say."""
    spread = float(np.std(gains, ddof=1)) if len(gains) > 1 else 1.0
    return Observation(tuple(members), float(np.mean(gains)), max(spread, _LEAST_SPREAD) ** 2 / len(gains))


def fit_effects(observations: Sequence[Observation], count: int) -> list[Effect]:
    """Effects of `count` bullets from packs of them, by ridge regression weighted by how sure each pack is.

    The packs' variances are averaged with their mean, as those of a few examples are known badly themselves.
    """
    packs = np.zeros((len(observations), count))
    for row, observation in zip(packs, observations, strict=True):
        row[list(observation.members)] = 1.0
    variances = np.array([observation.variance for observation in observations])
    weights = 1.0 / ((variances + variances.mean()) / 2.0)
    moments = packs.T @ (weights[:, None] * packs)
    inverse = np.linalg.inv(moments + np.eye(count) / PRIOR_EFFECT**2)
    gains = inverse @ (packs.T @ (weights * np.array([observation.gain for observation in observations])))
    errors = np.sqrt(np.diag(inverse))
    return [Effect(float(gain), float(error)) for gain, error in zip(gains, errors, strict=True)]

"""A population of pairs with two simulated judges: every trial is a sample of it, the true difference is exact.

A query is easy or hard for both judges and, beyond that, suits each of them more or less; all of this comes in few
levels, so that the true error of a judge is a sum over them. A judge's rating is the human's plus noise, moved by the
query, on the scale; some replies are unreadable. All numbers are in rating units.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product

import numpy as np
import numpy.typing as npt

from judge_serve.judging.judgment import AnswerMode, InvalidReason, Judgment
from judge_serve.judging.scale import Scale
from judge_serve.judging.task import Example, Item
from optimize_workers.statistics.metrics import INVALID_LOSS

SCALE = Scale()
GRADES = np.array(SCALE.ratings, dtype=np.float64)
GRADE_SHARES = np.array([0.2, 0.15, 0.2, 0.25, 0.2])  # of human ratings
LEVELS = np.array([-1.0, 0.0, 1.0])  # of an effect of a query, in standard deviations times sqrt(3 / 2)
LEVEL_SHARES = np.array([1.0, 1.0, 1.0]) / 3
FloatArray = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Scenario:
    """A kind of data and of judges.

    Attributes:
        num_queries: of one sample.
        pairs_of_query: on the average.
        are_unequal: whether sizes of queries run from one pair to many, and hard queries have twice the pairs.
        query_effect: how far a query moves the ratings, of both judges alike and of each of them.
        noise: spread of the first and of the second judge.
        shift: bias of the second judge.
        invalid: share of unreadable replies of both judges.
        hard_share: of queries that the second judge gets badly wrong.
        hard_shift: how far.
        seed: of the trials.
    """

    name: str
    num_queries: int
    pairs_of_query: int = 5
    are_unequal: bool = False
    query_effect: float = 0.5
    noise: tuple[float, float] = (0.7, 0.85)
    shift: float = 0.0
    invalid: float = 0.01
    hard_share: float = 0.0
    hard_shift: float = 1.5
    seed: int = 0


SCENARIOS = (
    Scenario("10 queries", 10, seed=1),
    Scenario("20 queries", 20, seed=2),
    Scenario("40 queries", 40, seed=3),
    Scenario("40 queries of unequal sizes", 40, are_unequal=True, seed=4),
    Scenario("40 queries, biased judge", 40, noise=(0.7, 0.7), shift=0.4, seed=5),
    Scenario("40 queries, a tenth hard", 40, noise=(0.7, 0.7), hard_share=0.1, seed=6),
    Scenario("100 queries", 100, seed=7),
    Scenario("100 queries of unequal sizes", 100, are_unequal=True, seed=8),
    Scenario("100 queries, a tenth hard", 100, noise=(0.7, 0.7), hard_share=0.1, seed=9),
    Scenario("300 queries", 300, pairs_of_query=3, seed=10),
)


class Population:
    """Pairs of a scenario, without end."""

    def __init__(self, scenario: Scenario) -> None:
        self.scenario = scenario
        self.true_nmse = self._true_nmse()

    @property
    def true_difference(self) -> float:
        """Second minus first, in NMSE points."""
        return self.true_nmse[1] - self.true_nmse[0]

    def draw(self, rng: np.random.Generator) -> tuple[list[Judgment], list[Judgment], list[Example]]:
        """Judgments of both judges on the pairs of freshly drawn queries."""
        scenario = self.scenario
        is_hard = rng.random(scenario.num_queries) < scenario.hard_share
        sizes = np.full(scenario.num_queries, scenario.pairs_of_query)
        levels = rng.choice(LEVELS, p=LEVEL_SHARES, size=(3, scenario.num_queries))  # of both, of first, of second
        if scenario.are_unequal:
            mean = np.where(levels[0] > 0, 1.5, 0.75) * scenario.pairs_of_query
            sizes = rng.geometric(1.0 / mean)
        query = np.repeat(np.arange(scenario.num_queries), sizes)
        human = rng.choice(GRADES, p=GRADE_SHARES, size=len(query))
        judged = []
        for place in (0, 1):
            centre = human + self._shift(place, levels[0], levels[1 + place], is_hard)[query]
            ratings = np.array(SCALE.ratings)[_at(_rating_shares(centre, scenario.noise[place]), rng)]
            is_invalid = rng.random(len(query)) < scenario.invalid
            judged.append([_KNOWN[None if bad else int(r)] for r, bad in zip(ratings, is_invalid, strict=True)])
        examples = [
            Example(Item("query", "document", f"q{own}", f"d{number}"), float(rating))
            for number, (own, rating) in enumerate(zip(query, human, strict=True))
        ]
        return judged[0], judged[1], examples

    def _shift(self, place: int, common: FloatArray, own: FloatArray, is_hard: npt.NDArray[np.bool_]) -> FloatArray:
        scenario = self.scenario
        moved: FloatArray = scenario.query_effect * np.sqrt(1.5) * (common + own) / np.sqrt(2.0)
        return moved if place == 0 else moved + scenario.shift + scenario.hard_shift * is_hard

    def _true_nmse(self) -> tuple[float, float]:
        scenario = self.scenario
        totals = np.zeros(2)
        weight = 0.0
        for (common, p), (own, q), hard in product(
            zip(LEVELS, LEVEL_SHARES, strict=True), zip(LEVELS, LEVEL_SHARES, strict=True), (False, True)
        ):
            share = p * q * (scenario.hard_share if hard else 1.0 - scenario.hard_share)
            share *= (1.5 if common > 0 else 0.75) if scenario.are_unequal else 1.0
            weight += share
            for place in (0, 1):
                moved = self._shift(place, np.array([common]), np.array([own]), np.array([hard]))
                shares = _rating_shares(GRADES + moved, scenario.noise[place])
                loss = 100.0 * ((GRADES[None, :] - GRADES[:, None]) / SCALE.width) ** 2
                readable = float(GRADE_SHARES @ (shares * loss).sum(axis=1))
                totals[place] += share * (scenario.invalid * INVALID_LOSS + (1.0 - scenario.invalid) * readable)
        first, second = totals / weight
        return float(first), float(second)


def _rating_shares(centres: FloatArray, noise: float) -> FloatArray:
    """Chances of each rating, shape (n, ratings), the likelier the nearer to the centre."""
    weights = np.exp(-((GRADES[None, :] - centres[:, None]) ** 2) / (2.0 * noise**2))
    shares: FloatArray = weights / weights.sum(axis=1, keepdims=True)
    return shares


def _at(shares: FloatArray, rng: np.random.Generator) -> npt.NDArray[np.int64]:
    """A place drawn for each row of chances."""
    places: npt.NDArray[np.int64] = (shares.cumsum(axis=1) < rng.random((len(shares), 1))).sum(axis=1)
    return places.clip(max=shares.shape[1] - 1)


def _known(rating: int | None) -> Judgment:
    reason = InvalidReason.NOT_JSON if rating is None else None
    return Judgment("q", "d", rating, None, None, reason, "", "stop", "simulated", "simulated", AnswerMode.GENERATE)


_KNOWN: dict[int | None, Judgment] = {rating: _known(rating) for rating in (None, *SCALE.ratings)}

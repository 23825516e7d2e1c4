"""Noise: how much repeated judgments of the same pairs differ, and what combining several of them buys.

Figures over k repeats are means over all runs of k neighbours (the last one is followed by the first), so that every
judgment counts equally often and nothing hangs on which came first.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from judge_serve.judging.judgment import Judgment
from judge_serve.judging.scale import Scale
from judge_serve.judging.task import Example
from judge_serve.judging.votes import Combine, combine
from optimize_workers.statistics.judged_pairs import judged_by_all
from optimize_workers.statistics.metrics import gold_of, losses
from optimize_workers.statistics.resampling import FloatArray, Interval, mean_interval
from optimize_workers.texts.query_groups import query_groups

Answer = Callable[[Judgment], Judgment]


class Spread(NamedTuple):
    """How much the repeats of a pair differ.

    Attributes:
        mean_sd: standard deviation within a pair (n - 1), in rating units; its mean over pairs with two or more
            readable repeats, None without such a pair.
        pairs_with_sd: how many pairs that are.
        changing_share: share of pairs whose repeats do not all give the same rating; an unreadable one is another.
        validity_changing_share: share of pairs of which some repeats are readable and some are not.
    """

    mean_sd: float | None
    pairs_with_sd: int
    changing_share: float
    validity_changing_share: float


class Combined(NamedTuple):
    """NMSE of k repeats combined, and its difference from a single one (below 0 is better).

    The 95 % intervals are None where the queries are too few for one.
    """

    nmse: float
    nmse_ci95: Interval | None
    delta_nmse: float
    ci95: Interval | None


class Repeats(NamedTuple):
    """What repeats say of a judge; `by_count` holds how k = 1, 2, ... repeats do, by way of combining."""

    num_repeats: int
    spread: Spread
    by_count: list[dict[Combine, Combined]]
    tokens_per_pair: float

    def as_dict(self, num_pairs: int) -> dict[str, Any]:
        """The `repeats` of `result.json`; calls and tokens are what judging all pairs k times costs."""
        return {
            "num_repeats": self.num_repeats,
            "spread": self.spread._asdict(),
            "by_count": [
                {
                    "k": k,
                    "calls": k * num_pairs,
                    "tokens": round(k * num_pairs * self.tokens_per_pair),
                    **{str(how): _shown(found) for how, found in ways.items()},
                }
                for k, ways in enumerate(self.by_count, 1)
            ],
        }


def measure_repeats(
    rounds: Sequence[Sequence[Judgment]], examples: Sequence[Example], scale: Scale, answer: Answer = lambda j: j
) -> Repeats:
    """What repeated judgments say of a judge, on the examples that were judged each time.

    Args:
        rounds: two or more; the judgments of all examples of one repeat each, in the order of the examples.
        examples: what was judged.
        scale: of the ratings.
        answer: makes an answer of a (combined) judgment, as a release's calibration does.

    Raises: ValueError if there are fewer than two rounds, no examples, or lengths differ.
    """
    if len(rounds) < 2 or not examples:
        raise ValueError(f"noise needs two repeats and an example, got {len(rounds)} and {len(examples)}")
    if any(len(one) != len(examples) for one in rounds):
        raise ValueError(f"{[len(one) for one in rounds]} judgments for {len(examples)} examples")
    examples, rounds = judged_by_all(examples, *rounds)
    of_pairs = list(zip(*rounds, strict=True))
    groups = query_groups(example.item for example in examples)
    gold = gold_of(examples)
    by_count: list[dict[Combine, Combined]] = []
    single: FloatArray | None = None
    for k in range(1, len(rounds) + 1):
        ways = {}
        for how in Combine:
            loss = _mean_losses(of_pairs, k, how, gold, scale, answer)
            single = loss if single is None else single
            gain = loss - single
            ways[how] = Combined(
                float(loss.mean()), mean_interval(loss, groups), float(gain.mean()), mean_interval(gain, groups)
            )
        by_count.append(ways)
    tokens = [judgment.prompt_tokens + judgment.completion_tokens for one in rounds for judgment in one]
    return Repeats(
        len(rounds), spread_of([list(map(answer, one)) for one in of_pairs]), by_count, float(np.mean(tokens))
    )


def spread_of(of_pairs: Sequence[Sequence[Judgment]]) -> Spread:
    """Spread of the repeats of one or more pairs."""
    values = [[judgment.value for judgment in pair if judgment.value is not None] for pair in of_pairs]
    deviations = [float(np.std(of_pair, ddof=1)) for of_pair in values if len(of_pair) > 1]
    changing = [len({judgment.rating for judgment in pair}) > 1 for pair in of_pairs]
    validity = [len({judgment.is_valid for judgment in pair}) > 1 for pair in of_pairs]
    mean_sd = float(np.mean(deviations)) if deviations else None
    return Spread(mean_sd, len(deviations), float(np.mean(changing)), float(np.mean(validity)))


def _mean_losses(
    of_pairs: Sequence[Sequence[Judgment]], k: int, how: Combine, gold: FloatArray, scale: Scale, answer: Answer
) -> FloatArray:
    """Loss of each pair, shape (n,): the mean over all runs of k neighbouring repeats, combined."""
    count = len(of_pairs[0])
    starts = range(count) if k < count else range(1)
    runs = []
    for start in starts:
        chosen = [[pair[(start + place) % count] for place in range(k)] for pair in of_pairs]
        runs.append(losses([answer(combine(samples, how, scale)) for samples in chosen], gold, scale))
    mean: FloatArray = np.mean(runs, axis=0)
    return mean


def _shown(found: Combined) -> dict[str, Any]:
    return {
        "nmse": found.nmse,
        "nmse_ci95": list(found.nmse_ci95) if found.nmse_ci95 else None,
        "delta_nmse": found.delta_nmse,
        "ci95": list(found.ci95) if found.ci95 else None,
    }

"""Agreement of two sets of readings of the same canaries: whether they differ by more than chance.

A flipped token is not a change: batched greedy decoding answers a few per cent of requests differently from one time to
the next. So what counts is disagreement between *settled* readings, each the majority of up to three answers.

With 20 canaries and 2 % of the replies differing by chance, a settled reading is wrong in 0.12 %, two settled readings
disagree by chance in 0.24 %, and three disagreements are significant: exact binomial test at `LEVEL`. Then
- a false alarm has a chance of 1.6e-5 at most per comparison, 0.005 over 300 starts;
- a model that answers half of the canaries differently is overlooked in 2.2e-4 of the comparisons: it changes two of
  the 20 or fewer. One that answers all differently never is.
A model that flips more often, as one that takes no temperature does, is given the chance that it showed when it was
met, and needs more disagreements before it counts as changed.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from typing import Any, NamedTuple

CHANCE = 0.02  # share of replies that differ by chance, where no larger one was seen
LEVEL = 1e-4  # chance of a false alarm that is accepted per comparison
MIN_COMPARED = 10  # canaries that both sides answered; of fewer nothing is said
MAX_AT_ONCE = 1  # disagreements of single answers that need not be settled
MIN_AT_ONCE = 15  # canaries compared for that
_Z95 = 1.959964

Readings = Sequence[str | None]


class Agreement(NamedTuple):
    """How many of `n` readings agree, and how likely as few would by chance."""

    n: int
    agree: int
    p_value: float

    @property
    def is_measured(self) -> bool:
        """Whether enough was compared to say anything."""
        return self.n >= MIN_COMPARED

    @property
    def is_same(self) -> bool:
        """Whether this is shown to be no more than chance; False where nothing was measured."""
        return self.is_measured and self.p_value > LEVEL

    @property
    def is_changed(self) -> bool:
        """Whether this is shown to be more than chance; False where nothing was measured."""
        return self.is_measured and self.p_value <= LEVEL

    @property
    def ci95(self) -> tuple[float, float] | None:
        """Interval of the share that agrees (Wilson's), None of nothing."""
        if not self.n:
            return None
        share, spread = self.agree / self.n, _Z95**2 / self.n
        middle = (share + spread / 2) / (1 + spread)
        half = _Z95 / (1 + spread) * math.sqrt(share * (1 - share) / self.n + spread / (4 * self.n))
        return max(0.0, middle - half), min(1.0, middle + half)

    def as_dict(self) -> dict[str, Any]:
        """For `result.json`."""
        bounds = self.ci95
        share = self.agree / self.n if self.n else None
        return {"n": self.n, "agree": self.agree, "share": share, "ci95": list(bounds) if bounds else None}

    @property
    def words(self) -> str:
        """For people."""
        if not self.n:
            return "no canary could be compared"
        low, high = self.ci95 or (0.0, 1.0)
        return f"{self.agree} of {self.n} canaries agree ({low:.0%} to {high:.0%})"


def compare_readings(before: Readings, now: Readings, *, flips: int | None, settled: int = 2) -> Agreement:
    """Compare readings of the same things; what one side did not answer is left out.

    Args:
        before: what was answered then.
        now: what is answered.
        flips: of how many of `before` two answers in a row differed; None where that is not known.
        settled: how many of both sides are settled, 0 to 2.
    """
    pairs = [(one, other) for one, other in zip(before, now, strict=True) if one is not None and other is not None]
    agree = sum(one == other for one, other in pairs)
    chance = CHANCE if not flips else max(CHANCE, flips / (2 * max(1, sum(one is not None for one in before))))
    wrong = 3 * chance**2 - 2 * chance**3
    rate = min(1.0, settled * wrong + (2 - settled) * chance)
    return Agreement(len(pairs), agree, _at_least(len(pairs) - agree, len(pairs), rate))


def agrees_at_once(before: Readings, now: Readings) -> bool:
    """Whether single answers agree so well that none needs to be asked again."""
    pairs = [(one, other) for one, other in zip(before, now, strict=True) if one is not None and other is not None]
    return len(pairs) >= MIN_AT_ONCE and sum(one != other for one, other in pairs) <= MAX_AT_ONCE


def majority(answers: Sequence[str | None]) -> str | None:
    """The commonest of a few answers to the same, the first of equals; None where there is none."""
    counted = Counter(answer for answer in answers if answer is not None)
    return counted.most_common(1)[0][0] if counted else None


def _at_least(count: int, n: int, rate: float) -> float:
    """Chance of `count` or more of `n` that each come about at a rate."""
    return min(1.0, sum(math.comb(n, k) * rate**k * (1 - rate) ** (n - k) for k in range(count, n + 1)))

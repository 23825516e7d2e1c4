"""Resampling whole groups (queries) with replacement: the bootstrap behind every interval, in bounded memory.

Pairs of one query are alike, so queries are resampled, never single pairs. The interval of a mean takes, at each end,
the farther one of two methods that fail in different places:

- the expanded percentile: quantiles of the resampled means, a little further out than 2.5 and 97.5 %, because few
  groups resample too narrowly (Hesterberg, "What Teachers Should Know About the Bootstrap", 2015, section 4.3);
- the bootstrap-t: quantiles of the studentised means, which follows skewed losses, such as rare unreadable replies
  (Efron and Tibshirani, "An Introduction to the Bootstrap", 1993, chapter 12).

What this covers with few and many queries is measured by `benchmarks/statistics.py`. Under `MIN_GROUPS` groups no
method covers what it says, and there is no interval.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cache
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float64]
Interval = tuple[float, float]

NUM_RESAMPLES = 10_000
MIN_GROUPS = 8  # under it 95 % intervals cover less than about 93 % even where nothing is skewed
MAX_CELLS = 2**17  # of (resamples, groups) held at a time: 1 MB, which stays in a cache
MIN_ERROR_SHARE = 0.25  # of the standard error, in a resample that has lost what varies; bounds its t
TAIL = 0.025


class Estimate(NamedTuple):
    """A statistic, its 95 % interval, and the shares of resamples below and above 0; None where too few groups vary."""

    value: float
    ci95: Interval | None
    share_below_0: float | None
    share_above_0: float | None


class Groups:
    """Which group each of n values belongs to; the same seed draws the same resamples, so that results pair."""

    def __init__(self, names: Sequence[str], seed: int = 0, num_resamples: int = NUM_RESAMPLES) -> None:
        distinct, self._codes = np.unique(np.asarray(names), return_inverse=True)
        self.num_groups = len(distinct)
        self._seed = seed
        self.num_resamples = num_resamples

    def sums(self, values: FloatArray) -> FloatArray:
        """Sums of each row of `values` (k, n) by group; shape (k, groups)."""
        return np.stack([np.bincount(self._codes, weights=row, minlength=self.num_groups) for row in values])

    def counts(self) -> Iterator[FloatArray]:
        """How often each resample holds each group, in parts of shape (some resamples, groups)."""
        rng = np.random.default_rng(self._seed)
        step = max(1, MAX_CELLS // self.num_groups)
        offsets = np.repeat(np.arange(step) * self.num_groups, self.num_groups)
        for start in range(0, self.num_resamples, step):
            rows = min(step, self.num_resamples - start)
            draws = _draws(rng, rows * self.num_groups, self.num_groups)
            draws += offsets[: len(draws)]
            yield np.bincount(draws, minlength=len(draws)).reshape(rows, self.num_groups).astype(np.float64)

    def counts_of_values(self) -> Iterator[FloatArray]:
        """How often each resample holds each of the n values, in parts as `counts` gives them."""
        for counts in self.counts():
            yield counts[:, self._codes]

    def resampled(self, sums: FloatArray) -> FloatArray:
        """Sums over resamples of as many groups as there are, from sums by group (k, groups); shape (k, resamples)."""
        found = np.empty((len(sums), self.num_resamples))
        by_group = np.ascontiguousarray(sums.T)
        start = 0
        for counts in self.counts():
            found[:, start : start + len(counts)] = (counts @ by_group).T
            start += len(counts)
        return found


def mean_estimates(
    values: FloatArray, groups: Groups, bounds: Sequence[Interval], weights: FloatArray | None = None
) -> list[Estimate | None]:
    """Means of k rows of values with their intervals, all from the same resamples.

    Args:
        values: shape (k, n).
        groups: of the n values.
        bounds: between which values each mean can lie, of length k; intervals end there.
        weights: shape (k, n), such as 0 for values that a mean leaves out; 1 by default.

    Returns: for each row its estimate; None for a row without weight.
    """
    weights = np.ones_like(values) if weights is None else weights
    top, size = groups.sums(values * weights), groups.sums(weights)
    resampled = groups.resampled(np.concatenate([top, size, top * top, top * size, size * size]))
    own = zip(top, size, bounds, *resampled.reshape(5, len(values), -1), strict=True)
    return [_estimate(*parts) if parts[1].any() else None for parts in own]


def mean_interval(
    values: FloatArray, groups: Sequence[str], seed: int = 0, bounds: Interval = (-np.inf, np.inf)
) -> Interval | None:
    """95 % interval of a mean of values (n,), whole groups resampled together; None for under `MIN_GROUPS` groups."""
    (estimate,) = mean_estimates(values[None, :], Groups(groups, seed), [bounds])
    return estimate.ci95 if estimate else None


def estimate_of(value: float, resampled: FloatArray, num_groups: int) -> Estimate:
    """A statistic that is no mean, from its values in the resamples (NaN where undefined), by expanded percentiles.

    There is no interval where it is undefined in one of twenty resamples or more.
    """
    defined = resampled[~np.isnan(resampled)]
    if num_groups < MIN_GROUPS or len(defined) < 0.95 * len(resampled):
        return Estimate(value, None, None, None)
    low, high = _expanded_percentiles(defined, num_groups)
    return Estimate(value, (low, high), float((defined < 0).mean()), float((defined > 0).mean()))


def _estimate(
    top: FloatArray, size: FloatArray, bounds: Interval, tops: FloatArray, sizes: FloatArray, *squares: FloatArray
) -> Estimate:
    """A mean from its sums by group, with its sums in the resamples: values, weights and their products."""
    mean = float(top.sum() / size.sum())
    num_groups = int(np.count_nonzero(size))
    if num_groups < MIN_GROUPS:
        return Estimate(mean, None, None, None)
    held = sizes > 0
    means = tops[held] / sizes[held]
    widened = num_groups / (num_groups - 1)
    error = float(np.sqrt(widened * np.sum((top - mean * size) ** 2)) / size.sum())
    if error <= 1e-9 * max(1.0, abs(mean)):  # nothing varies between the groups
        return Estimate(mean, (mean, mean), float(mean < 0), float(mean > 0))
    own, crossed, weighed = (square[held] for square in squares)
    residuals = (own - 2 * means * crossed + means**2 * weighed).clip(min=0.0)
    errors = np.sqrt(widened * residuals) / sizes[held]
    studentised = (means - mean) / errors.clip(min=MIN_ERROR_SHARE * error)
    high_t, low_t = np.quantile(studentised, [1.0 - TAIL, TAIL])
    low, high = _expanded_percentiles(means, num_groups)
    low, high = min(low, mean - high_t * error), max(high, mean - low_t * error)
    interval = (float(max(low, bounds[0])), float(min(high, bounds[1])))
    return Estimate(mean, interval, float((means < 0).mean()), float((means > 0).mean()))


def _expanded_percentiles(resampled: FloatArray, num_groups: int) -> Interval:
    tail = _expanded_tail(num_groups)
    low, high = np.quantile(resampled, [tail, 1.0 - tail])
    return float(low), float(high)


def _draws(rng: np.random.Generator, count: int, num_groups: int) -> npt.NDArray[np.int64]:
    """Random numbers of groups, shape (count,), even to one in 2**32 / groups; faster than `Generator.integers`."""
    bits = rng.integers(0, 2**64, size=(count + 1) // 2, dtype=np.uint64).view(np.uint32)[:count]
    scaled = bits.astype(np.uint64)
    scaled *= np.uint64(num_groups)
    scaled >>= np.uint64(32)
    return scaled.view(np.int64)


@cache
def _expanded_tail(num_groups: int) -> float:
    """The share left out at each end, so that normal data get the width of a t-interval."""
    from scipy.special import ndtr, stdtrit  # slow to import

    reach = stdtrit(num_groups - 1, TAIL) * np.sqrt(num_groups / (num_groups - 1))
    return float(ndtr(reach))

"""Agreement of two orders: Kendall's tau-b with an interval by query."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from optimize_workers.statistics.resampling import FloatArray, Groups, Interval, estimate_of

EQUAL = 1e-12  # NDCGs that differ by less are equal
BLOCK_CELLS = 2**22  # of (query, query) signs held at a time: 16 MB each


class Agreement(NamedTuple):
    """Kendall's tau-b in [-1, 1] and its 95 % interval; None where one side has no order or queries are too few."""

    tau: float | None
    ci95: Interval | None

    def as_dict(self) -> dict[str, Any]:
        """JSON form."""
        return {"tau": self.tau, "ci95": list(self.ci95) if self.ci95 else None}


def tau_of_queries(values: FloatArray, groups: Groups) -> Agreement:
    """Agreement of two values of each query on the order of the queries.

    Args:
        values: shape (2, queries).
        groups: of the queries. Time grows with the square of the queries, a minute for 10,000.
    """
    times = np.concatenate([np.ones((1, values.shape[1])), *groups.counts_of_values()]).astype(np.float32)
    joint, first, second = np.zeros((3, len(times)))
    step = max(1, BLOCK_CELLS // values.shape[1])
    for start in range(0, values.shape[1], step):
        one, other = (_signs(side[start : start + step, None] - side[None, :]) for side in values)
        own = times[:, start : start + step]
        joint += _weighed(own, one * other, times)
        first += _weighed(own, abs(one), times)
        second += _weighed(own, abs(other), times)
    return _agreement(_ratio(joint, first, second), groups)


def order_agreement(values: FloatArray, groups: Groups) -> Agreement:
    """Agreement of both kinds of label on the order of rankings by their mean NDCGs.

    Args:
        values: NDCGs [ranking][kind of label][query].
        groups: of the queries.
    """
    num_rankings, _, num_queries = values.shape
    rows = values.reshape(-1, num_queries)
    resampled = groups.resampled(groups.sums(rows))
    means = np.concatenate([rows.sum(axis=1, keepdims=True), resampled], axis=1).reshape(num_rankings, 2, -1)
    means = means / num_queries
    one, other = (_signs(means[:, None, side] - means[None, :, side]) for side in (0, 1))
    joint, first, second = ((cells).sum(axis=(0, 1)) for cells in (one * other, abs(one), abs(other)))
    return _agreement(_ratio(joint, first, second), groups)


def _agreement(taus: FloatArray, groups: Groups) -> Agreement:
    """From tau of the sample, followed by those of the resamples."""
    if np.isnan(taus[0]):
        return Agreement(None, None)
    return Agreement(float(taus[0]), estimate_of(float(taus[0]), taus[1:], groups.num_groups).ci95)


def _ratio(joint: FloatArray, first: FloatArray, second: FloatArray) -> FloatArray:
    """Tau-b from sums over pairs: of the products of both signs, and of the signs that are not 0; NaN without any."""
    both = np.sqrt(first.astype(np.float64) * second)
    taus: FloatArray = np.divide(joint, both, out=np.full(len(both), np.nan), where=both > 0)
    return taus


def _weighed(own: FloatArray, signs: FloatArray, times: FloatArray) -> FloatArray:
    """Sums of signs over pairs of a query of a block and any query, as often as each is in a resample."""
    sums: FloatArray = np.einsum("bj,bj->b", own @ signs.astype(np.float32), times, dtype=np.float64)
    return sums


def _signs(gaps: FloatArray) -> FloatArray:
    signs: FloatArray = np.where(abs(gaps) < EQUAL, 0.0, np.sign(gaps))
    return signs

"""Reliability: what a judge answers against what people said, in bins of about equally many pairs."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from optimize_workers.statistics.resampling import FloatArray

NUM_BINS = 10


class ReliabilityBin(NamedTuple):
    """Mean answer of the judge and mean human rating of `n` pairs, in rating units."""

    mean_predicted: float
    mean_human: float
    n: int


class Reliability(NamedTuple):
    """The bins, lowest answers first, and the mean distance of their two means, weighted by pairs.

    `calibration_error` is None without any answer.
    """

    bins: list[ReliabilityBin]
    calibration_error: float | None


def reliability(values: FloatArray, human: FloatArray, num_bins: int = NUM_BINS) -> Reliability:
    """Reliability of n answers, shape (n,), against human ratings in the same order."""
    groups = equal_count_bins(values, -(-len(values) // num_bins))
    bins = [ReliabilityBin(float(values[g].mean()), float(human[g].mean()), len(g)) for g in groups]
    if not bins:
        return Reliability([], None)
    distance = sum(one.n * abs(one.mean_predicted - one.mean_human) for one in bins) / len(values)
    return Reliability(bins, distance)


def equal_count_bins(values: FloatArray, min_size: int) -> list[npt.NDArray[np.int64]]:
    """Places of the values in bins of at least `min_size`, by rising value; equal values share a bin.

    What is left over at the end joins the last bin.
    """
    order = np.argsort(values, kind="stable")
    bins: list[list[int]] = [[]]
    for place, number in enumerate(order):
        is_new_value = place > 0 and values[number] > values[order[place - 1]]
        if is_new_value and len(bins[-1]) >= min_size:
            bins.append([])
        bins[-1].append(int(number))
    if len(bins) > 1 and len(bins[-1]) < min_size:
        bins[-2:] = [bins[-2] + bins[-1]]
    return [np.array(one, dtype=np.int64) for one in bins if one]


def reliability_as_dict(found: Reliability) -> dict[str, Any]:
    """JSON form: `reliability` as a list of bins, and `calibration_error`."""
    return {"reliability": [one._asdict() for one in found.bins], "calibration_error": found.calibration_error}

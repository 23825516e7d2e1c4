"""Racing: a candidate is judged on a growing part of the validation examples and dropped when it will not win.

The test is paired: differences to its parent on the same examples. It asks how likely the candidate is to be ahead
once all examples are judged, given those that are.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from statistics import NormalDist

import numpy as np
import numpy.typing as npt

from optimize_workers.statistics.judged_pairs import both_scored

DROP_BELOW = 0.3  # chance to be ahead in the end under which a candidate is dropped
STAGES = (0.3, 1.0)  # shares of the validation examples after which is looked
MAX_GAIN = 0.25  # what a rating loses that is off by two
MIN_STAGE = 8  # examples; differences of fewer say nothing about their spread


def race_stages(num_examples: int) -> list[int]:
    """Numbers of examples judged after each stage, rising, the last being all."""
    stages = {min(num_examples, max(MIN_STAGE, math.ceil(share * num_examples))) for share in STAGES}
    return sorted(stages)


def paired_gains(scores: Sequence[float], reference: Sequence[float]) -> npt.NDArray[np.float64]:
    """Differences of two programs' scores on the same examples, each bounded by `MAX_GAIN` either way.

    A single unreadable reply moves a score by up to 1, ten times what a better instruction does; unbounded, the one
    in a hundred that any model writes decides most races. Examples that one of them was not judged on say nothing and
    are left out; where that leaves none, the one difference is 0.
    """
    first, second = both_scored(scores, reference)
    return np.clip(first - second, -MAX_GAIN, MAX_GAIN) if len(first) else np.zeros(1)


def chance_to_win(scores: Sequence[float], reference: Sequence[float], num_all: int) -> float:
    """Probability that the mean score over all examples will exceed the reference's.

    Args:
        scores: of the candidate on the first n examples.
        reference: of its parent on the same examples.
        num_all: examples in the end, at least n.

    Returns: in [0, 1]; the differences still to come are taken to be normal, with the mean and spread of those seen.
    """
    differences = paired_gains(scores, reference)
    n, mean = len(differences), float(np.mean(differences))
    num_all -= len(scores) - n  # what was not judged does not come any more
    spread = float(np.std(differences, ddof=1)) if n > 1 else 0.0
    # what is to come varies around a mean that is known from n examples only
    error = spread * (num_all - n) / num_all * math.sqrt(1 / n + 1 / max(1, num_all - n))
    if error == 0.0:
        return float(mean > 0.0)
    return NormalDist().cdf(mean / error)

"""Suspected labels: human ratings that are probably wrong, because raters or judges say otherwise."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence

import numpy as np

from judge_serve.judging.judgment import Judgment
from judge_serve.judging.task import Example

MIN_RATER_SPREAD = 2.0  # rating units between the lowest and the highest rater
MIN_MODELS = 2  # one model's errors repeat under every prompt, so judges of one model count as one
MIN_LABEL_GAP = 1.5  # rating units between the label and the nearest model
MAX_MODEL_SPREAD = 1.0  # rating units; models further apart do not agree

Key = tuple[str, str]


def suspected_labels(examples: Sequence[Example], judged: Sequence[Judgment]) -> Mapping[Key, tuple[str, ...]]:
    """Why the labels of some examples are suspected, by (query id, document id).

    Args:
        examples: with the human ratings.
        judged: judgments of these examples by any number of judges, in any order.
    """
    by_model: defaultdict[Key, defaultdict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    for judgment in judged:
        if judgment.value is not None:
            by_model[judgment.query_id, judgment.doc_id][judgment.model].append(judgment.value)
    labels: defaultdict[Key, list[Example]] = defaultdict(list)
    for example in examples:
        labels[example.item.query_id, example.item.doc_id].append(example)
    found = {}
    for key, own in labels.items():
        means = {model: float(np.mean(values)) for model, values in by_model.get(key, {}).items()}
        reasons = [*_raters(own), *(reason for example in own for reason in _models(example, means))]
        if reasons:
            found[key] = tuple(dict.fromkeys(reasons))
    return found


def _raters(labels: Sequence[Example]) -> list[str]:
    """Whether those who rated one pair disagree; data that label it twice have at least two raters."""
    ratings = [rating for example in labels for rating in example.gold_ratings or (example.gold_rating,)]
    if max(ratings) - min(ratings) < MIN_RATER_SPREAD:
        return []
    return ["raters disagree: " + ", ".join(f"{rating:g}" for rating in ratings)]


def _models(example: Example, means: Mapping[str, float]) -> list[str]:
    gaps = [mean - example.gold_rating for mean in means.values()]
    if len(gaps) < MIN_MODELS or max(gaps) - min(gaps) > MAX_MODEL_SPREAD:
        return []
    if min(map(abs, gaps)) < MIN_LABEL_GAP or min(gaps) * max(gaps) < 0:
        return []
    told = ", ".join(f"{model} {mean:.2g}" for model, mean in sorted(means.items()))
    return [f"{len(means)} models agree against it: {told}"]

"""What a judge's labels do to the evaluation of rankings: NDCG@k and their order under human and judge labels.

The gain of a document is 2 to the power of its rating above the lowest one, minus 1, so that a document without any
connection gains nothing; the discount is log2(rank + 1); the ideal order is that of all labelled documents of the
query. Documents without a human rating or without a valid judgment are taken out of the lists, for both kinds of
label alike (condensed lists: Sakai, "Alternatives to Bpref", 2007). A query that has no gain at all under one kind of
label has no NDCG and is left out of both.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import combinations
from typing import Any, NamedTuple

import numpy as np

from judge_serve.judging.judgment import Judgment
from judge_serve.judging.scale import Scale
from judge_serve.judging.task import Example
from optimize_workers.evidence.rank_agreement import EQUAL, Agreement, order_agreement, tau_of_queries
from optimize_workers.statistics.resampling import Estimate, FloatArray, Groups, mean_estimates
from optimize_workers.texts.query_groups import query_groups

HUMAN, JUDGE = 0, 1
NUM_TAU_RESAMPLES = 2_000  # each costs the square of the queries


class Lists(NamedTuple):
    """What became of the documents in the lists.

    Attributes:
        queries: that every ranking has a list for and that have a gain under both kinds of label.
        queries_left_out: of the rankings, all others.
        listed: documents in lists of the kept queries.
        unlabelled, invalid: of them, without a human rating, and with one but without a valid judgment; left out.
    """

    queries: int
    queries_left_out: int
    listed: int
    unlabelled: int
    invalid: int


class RankingFigures(NamedTuple):
    """Mean NDCG of a ranking over the queries, in [0, 1], under each kind of label."""

    name: str
    human: Estimate
    judge: Estimate


class RankingDifference(NamedTuple):
    """Difference of mean NDCG of two rankings (second - first) under each kind of label.

    Attributes:
        agrees: whether both kinds say that the same one is better; None if one of them says that none is.
        same_sign: share of the queries whose differences have the same sign, 0 being a sign of its own.
        tau: Kendall's tau-b between the differences of the single queries under both.
    """

    first: str
    second: str
    human: Estimate
    judge: Estimate
    agrees: bool | None
    same_sign: float
    tau: Agreement


class RankingConsequence(NamedTuple):
    """What judge labels do to an evaluation of rankings; `order` is the agreement on the order of three or more."""

    k: int
    lists: Lists
    rankings: tuple[RankingFigures, ...]
    differences: tuple[RankingDifference, ...]
    order: Agreement | None

    def as_dict(self) -> dict[str, Any]:
        """JSON form, `ranking` of `result.json`."""
        return {
            "k": self.k,
            "gain": "2 ** (rating - lowest rating) - 1",
            **self.lists._asdict(),
            "rankings": [
                {"name": one.name, "human": _plain(one.human), "judge": _plain(one.judge)} for one in self.rankings
            ],
            "differences": [
                {
                    **one._asdict(),
                    "human": {**_plain(one.human), "p_better": one.human.share_above_0},
                    "judge": {**_plain(one.judge), "p_better": one.judge.share_above_0},
                    "tau": one.tau.as_dict(),
                }
                for one in self.differences
            ],
            "order": self.order.as_dict() if self.order else None,
        }


def ranking_consequence(
    rankings: Mapping[str, Mapping[str, Sequence[str]]],
    judgments: Sequence[Judgment],
    examples: Sequence[Example],
    scale: Scale,
    k: int = 10,
) -> RankingConsequence | None:
    """NDCG@k of rankings under human and judge labels; None if no query is left.

    Args:
        rankings: by name, by query id, the document ids, best first; as `load_rankings` gives them.
        judgments: of the examples, in the same order.
        examples: judged pairs, with the human ratings.
        scale: of the ratings.
        k: rank that NDCG stops at.
    """
    gains: dict[str, dict[str, tuple[float, float]]] = {}
    rated = set()
    for judgment, example in zip(judgments, examples, strict=True):
        item = example.item
        rated.add((item.query_id, item.doc_id))
        if judgment.value is not None:
            both = _gain(example.gold_rating, scale), _gain(judgment.value, scale)
            gains.setdefault(item.query_id, {})[item.doc_id] = both
    asked = {query for lists in rankings.values() for query in lists}
    shared = [query for query in sorted(asked) if all(query in lists for lists in rankings.values())]
    kept = [query for query in shared if np.any(list(gains.get(query, {}).values()) or [(0, 0)], axis=0).all()]
    if not kept:
        return None
    documents = [(query, doc) for lists in rankings.values() for query in kept for doc in lists[query]]
    unlabelled = sum(pair not in rated for pair in documents)
    invalid = sum(pair in rated and pair[1] not in gains[pair[0]] for pair in documents)
    counts = Lists(len(kept), len(asked) - len(kept), len(documents), unlabelled, invalid)
    values = np.array(
        [[ndcg_at(k, lists[query], gains[query]) for query in kept] for lists in rankings.values()]
    ).transpose(0, 2, 1)  # [ranking][kind of label][query]
    names = list(rankings)
    query_of = dict(zip((e.item.query_id for e in examples), query_groups(e.item for e in examples), strict=True))
    queries = [query_of[query] for query in kept]
    groups = Groups(queries)
    means = mean_estimates(values.reshape(-1, len(kept)), groups, [(0.0, 1.0)] * 2 * len(names))
    figures = [RankingFigures(name, *_both(means, place)) for place, name in enumerate(names)]
    differences = [
        _difference((names[one], names[other]), values[other] - values[one], queries)
        for one, other in combinations(range(len(names)), 2)
    ]
    order = order_agreement(values, groups) if len(names) >= 3 else None
    return RankingConsequence(k, counts, tuple(figures), tuple(differences), order)


def ndcg_at(k: int, listed: Sequence[str], gains: Mapping[str, tuple[float, float]]) -> tuple[float, float]:
    """NDCG@k of one list under human and judge gains by document id; documents without gains are left out of it."""
    known = np.array([gains[doc] for doc in listed if doc in gains][:k]).reshape(-1, 2)
    ideal = -np.sort(-np.array(list(gains.values())), axis=0)[:k]
    found = (_discounts(len(known)) @ known) / (_discounts(len(ideal)) @ ideal)
    return float(found[HUMAN]), float(found[JUDGE])


def _difference(names: tuple[str, str], gaps: FloatArray, queries: Sequence[str]) -> RankingDifference:
    """From differences [kind of label][query]."""
    human, judge = _both(mean_estimates(gaps, Groups(queries), [(-1.0, 1.0)] * 2), 0)
    tau = tau_of_queries(gaps, Groups(queries, num_resamples=NUM_TAU_RESAMPLES))
    signs = _signs(gaps)
    product = _signs(np.array([human.value])) * _signs(np.array([judge.value]))
    agrees = None if product == 0 else bool(product > 0)
    return RankingDifference(*names, human, judge, agrees, float((signs[HUMAN] == signs[JUDGE]).mean()), tau)


def _signs(values: FloatArray) -> FloatArray:
    return np.where(abs(values) < EQUAL, 0.0, np.sign(values))


def _both(estimates: Sequence[Estimate | None], place: int) -> tuple[Estimate, Estimate]:
    human, judge = estimates[2 * place], estimates[2 * place + 1]
    assert human is not None and judge is not None, "every query has a weight"
    return human, judge


def _gain(rating: float, scale: Scale) -> float:
    return float(2.0 ** (rating - scale.minimum) - 1.0)


def _discounts(count: int) -> FloatArray:
    discounts: FloatArray = 1.0 / np.log2(np.arange(count) + 2.0)
    return discounts


def _plain(estimate: Estimate) -> dict[str, Any]:
    return {"value": estimate.value, "ci95": list(estimate.ci95) if estimate.ci95 else None}

"""Rankings under human and judge labels: NDCG as scikit-learn has it, tau as scipy has it, gaps in the labels."""

import json

import numpy as np
import pytest
from scipy.stats import kendalltau
from sklearn.metrics import ndcg_score

from judge_serve.judging.errors import RefusedInputError
from judge_serve.judging.task import Example, Item
from optimize_workers.dataset.ranked_lists import load_rankings
from optimize_workers.evidence.rank_agreement import order_agreement, tau_of_queries
from optimize_workers.evidence.ranking import ndcg_at, ranking_consequence
from optimize_workers.statistics.resampling import Groups
from tests.builders import SCALE, make_judgment

DOCS = ["a", "b", "c", "d", "e"]


def labelled(num_queries, seed=0, noise=0.0):
    """Pairs of queries with 5 documents each, and a judge that is off by `noise`."""
    rng = np.random.default_rng(seed)
    examples, judgments = [], []
    for query in range(num_queries):
        for doc in DOCS:
            gold = float(rng.integers(1, 6))
            examples.append(Example(Item(f"query {query}", doc, f"q{query:03}", doc), gold))
            judgments.append(make_judgment(SCALE.nearest(gold + rng.normal(0, noise))))
    return examples, judgments


def lists(num_queries, seed):
    rng = np.random.default_rng(seed)
    return {f"q{query:03}": [DOCS[place] for place in rng.permutation(5)] for query in range(num_queries)}


def by_label(examples, num_queries, place):
    """Lists in which some documents stand by their human rating."""
    return {
        f"q{q:03}": sorted(DOCS, key=lambda doc, q=q: -examples[5 * q + DOCS.index(doc)].gold_rating * place)
        for q in range(num_queries)
    }


# --- NDCG ---


@pytest.mark.parametrize("k", [1, 3, 10])
def test_ndcg_is_that_of_scikit_learn(k):
    rng = np.random.default_rng(k)
    for _ in range(5):
        gains = rng.uniform(0.1, 15, size=(5, 2))
        order = rng.permutation(5)
        found = ndcg_at(k, [DOCS[place] for place in order], dict(zip(DOCS, gains, strict=True)))
        scores = np.empty(5)
        scores[order] = np.arange(5, 0, -1)
        expected = [ndcg_score([gains[:, kind]], [scores], k=k) for kind in (0, 1)]
        assert found == pytest.approx(expected)


def test_the_gain_doubles_with_the_rating_and_the_lowest_gains_nothing():
    examples = [Example(Item("q", doc, "q", doc), gold) for doc, gold in (("a", 1.0), ("b", 3.0))]
    judgments = [make_judgment(3), make_judgment(2)]
    found = ranking_consequence({"one": {"q": ["a", "b"]}}, judgments, examples, SCALE)
    # human gains 0 and 3: (3 / log2 3) / 3; judge gains 3 and 1 in the ideal order
    assert found.rankings[0].human.value == pytest.approx(1 / np.log2(3))
    assert found.rankings[0].judge.value == pytest.approx(1.0)


def test_documents_without_labels_are_taken_out_of_the_lists_and_counted():
    examples, judgments = labelled(1)
    judgments[1] = make_judgment(None)
    rankings = {"one": {"q000": ["x", "b", "y", "a", "c"]}}
    found = ranking_consequence(rankings, judgments, examples, SCALE)
    assert found.lists == (1, 0, 5, 2, 1)
    kept = [one for one in range(5) if one != 1]
    without = ranking_consequence(
        {"one": {"q000": ["a", "c"]}}, [judgments[n] for n in kept], [examples[n] for n in kept], SCALE
    )
    assert found.rankings == without.rankings


def test_queries_that_not_all_rankings_list_or_that_gain_nothing_are_left_out():
    examples, judgments = labelled(3)
    nothing = [Example(Item("dull", doc, "dull", doc), 1.0) for doc in DOCS]
    rankings = {"one": {**lists(3, 1), "dull": DOCS, "unknown": DOCS}, "two": {**lists(2, 2), "dull": DOCS}}
    found = ranking_consequence(rankings, [*judgments, *[make_judgment(5)] * 5], [*examples, *nothing], SCALE)
    assert (found.lists.queries, found.lists.queries_left_out) == (2, 3)


def test_no_query_is_left_where_nothing_is_valid():
    examples, judgments = labelled(3)
    rankings = {"one": lists(3, 1)}
    assert ranking_consequence(rankings, [make_judgment(None)] * 15, examples, SCALE) is None
    assert ranking_consequence(rankings, [], [], SCALE) is None
    assert ranking_consequence({}, judgments, examples, SCALE) is None


# --- two rankings ---


def test_a_judge_that_agrees_with_people_orders_rankings_as_they_do():
    examples, judgments = labelled(30)
    found = ranking_consequence({"bad": lists(30, 1), "good": by_label(examples, 30, 1)}, judgments, examples, SCALE)
    (gap,) = found.differences
    assert (gap.first, gap.second, gap.agrees, gap.same_sign) == ("bad", "good", True, 1.0)
    assert gap.human == gap.judge
    assert gap.human.ci95[0] > 0
    assert gap.tau.tau == pytest.approx(1.0)


def test_a_judge_with_labels_upside_down_turns_the_order_round():
    examples, _ = labelled(30)
    judgments = [make_judgment(int(6 - example.gold_rating)) for example in examples]
    rankings = {"worst": by_label(examples, 30, -1), "best": by_label(examples, 30, 1)}
    (gap,) = ranking_consequence(rankings, judgments, examples, SCALE).differences
    assert gap.human.value > 0 > gap.judge.value
    assert (gap.agrees, gap.same_sign) == (False, 0.0)


def test_a_ranking_does_not_differ_from_itself():
    examples, judgments = labelled(10, noise=1.0)
    found = ranking_consequence({"one": lists(10, 1), "same": lists(10, 1)}, judgments, examples, SCALE)
    (gap,) = found.differences
    assert (gap.human.value, gap.judge.value, gap.agrees, gap.same_sign) == (0.0, 0.0, None, 1.0)
    assert gap.tau == (None, None)  # no order of queries on either side
    json.dumps(found.as_dict(), allow_nan=False)


# --- Kendall's tau ---


def test_tau_of_queries_is_scipys_tau_b():
    rng = np.random.default_rng(0)
    values = rng.integers(0, 6, size=(2, 50)).astype(float)  # with ties
    values[1] += values[0]
    found = tau_of_queries(values, Groups([f"{n:02}" for n in range(50)], num_resamples=500))
    assert found.tau == pytest.approx(kendalltau(*values).statistic)
    assert found.ci95[0] < found.tau < found.ci95[1]


def test_resampled_taus_are_those_of_the_resampled_queries():
    rng = np.random.default_rng(1)
    values = rng.integers(0, 6, size=(2, 40)).astype(float)
    values[1] += values[0]
    names = [f"{n:02}" for n in range(40)]
    groups = Groups(names, num_resamples=300)
    taus = [
        kendalltau(*np.repeat(values, times.astype(int), axis=1)).statistic
        for part in groups.counts()
        for times in part
    ]
    low, high = tau_of_queries(values, groups).ci95
    assert np.quantile(taus, 0.01) <= low <= np.quantile(taus, 0.05)
    assert np.quantile(taus, 0.95) <= high <= np.quantile(taus, 0.99)


def test_the_order_of_three_rankings():
    examples, judgments = labelled(30, noise=0.5)
    rankings = {"bad": by_label(examples, 30, -1), "middle": lists(30, 1), "good": by_label(examples, 30, 1)}
    found = ranking_consequence(rankings, judgments, examples, SCALE)
    assert found.order == (1.0, (1.0, 1.0))
    assert len(found.differences) == 3


def test_rankings_with_equal_means_have_no_order():
    values = np.ones((3, 2, 10))
    assert order_agreement(values, Groups([str(n) for n in range(10)])) == (None, None)


def test_few_queries_have_a_tau_without_an_interval():
    examples, judgments = labelled(4, noise=0.3)
    rankings = {"one": lists(4, 1), "two": by_label(examples, 4, 1)}
    found = ranking_consequence(rankings, judgments, examples, SCALE)
    assert found.differences[0].tau.ci95 is None
    assert found.rankings[0].human.ci95 is None
    json.dumps(found.as_dict(), allow_nan=False)


# --- files ---


def write(tmp_path, *rows):
    path = tmp_path / "rankings.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return str(path)


def row(doc, **values):
    return {"ranking": "bm25", "query_id": 7, "doc_id": doc, **values}


def test_lists_are_read_by_rank_or_by_score(tmp_path):
    by_rank = load_rankings(write(tmp_path, row("b", rank=2), row("a", rank=1), row("c", rank=10)))
    by_score = load_rankings(write(tmp_path, row("b", score=0.5), row("a", score=0.9), row("c", score=-1)))
    assert by_rank == by_score == {"bm25": {"7": ["a", "b", "c"]}}


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([], "no rows"),
        ([row("a")], "give every row 'rank'"),
        ([row("a", rank=1), row("b", score=2.0)], "give every row 'rank'"),
        ([row("a", rank="first")], "rank 'first' refused"),
        ([row("a", rank=1), row("a", rank=2)], "each document once"),
        ([{"query_id": 1, "doc_id": 1, "rank": 1}], "expected a ranking in every row"),
        ([row("a", score=True)], "finite number"),
        ([row("a", rank=10**400)], "expected a number"),
    ],
)
def test_bad_rows_of_rankings_are_refused(tmp_path, rows, message):
    with pytest.raises(RefusedInputError, match=message):
        load_rankings(write(tmp_path, *rows))

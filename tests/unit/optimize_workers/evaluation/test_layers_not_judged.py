"""The layers where an item is not judged: recorded nowhere, counted, tolerated up to a limit."""

import pytest

from judge_serve.judging import Sampling, Votes
from judge_serve.judging.errors import TooManyNotJudgedError
from judge_serve.judging.judge_call import JudgeCall, calls_of
from optimize_workers.evaluation.budget import Budget
from optimize_workers.evaluation.budgeted import Budgeted
from optimize_workers.evaluation.recorded import Recorded, are_recorded
from optimize_workers.evaluation.tolerated import Tolerated
from optimize_workers.evaluation.voted import Voted
from tests.builders import JUDGE, make_examples
from tests.fakes import InProcessPool, MemoryStore, ScriptedEngine
from tests.unit.optimize_workers.evaluation.test_layers import CALLS, EXAMPLES, OTHER, ratings, with_program
from tests.unit.optimize_workers.optimizers.searches import rate_well

POISONED = {EXAMPLES[place].item.doc_id for place in (2, 5)}


def poisoned_pool(poisoned=POISONED):
    return InProcessPool(ScriptedEngine(rate_well), lambda call: call.item.doc_id in poisoned)


def test_what_was_not_judged_is_not_recorded_and_is_asked_again():
    store, pool = MemoryStore(), poisoned_pool()
    first = Recorded(pool, store).judge([*CALLS, CALLS[2]])
    assert [judgment.is_judged for judgment in first] == [place not in (2, 5, 10) for place in range(11)]
    assert not any(judgment.cached for judgment in first)
    assert len(store.judgments) == 8
    assert not are_recorded(CALLS, store)
    pool.is_poisoned = lambda call: False
    second = Recorded(pool, store).judge(CALLS)
    assert pool.waves == [10, 2]
    assert ratings(second) == [int(e.gold_rating) for e in EXAMPLES]


def test_what_was_not_judged_counts_as_a_call_without_tokens():
    budget = Budget(20, max_tokens=1_000_000)
    layers = Budgeted(poisoned_pool(), budget)
    layers.judge(CALLS)
    assert (budget.used, budget.promised, budget.used_tokens) == (10, 0, 8 * 11)


@pytest.mark.parametrize(("most", "num_poisoned"), [(0, 1), (1, 2), (2, 3), (None, 4)])
def test_more_items_not_judged_than_may_be_end_it_and_are_named(most, num_poisoned):
    poisoned = {example.item.doc_id for example in EXAMPLES[:num_poisoned]}
    store = MemoryStore()
    layers = Tolerated(Recorded(poisoned_pool(poisoned), store), 10, most)
    with pytest.raises(TooManyNotJudgedError) as caught:
        layers.judge(CALLS)
    said = str(caught.value)
    assert f"{num_poisoned} of 10 items were not judged, at most {num_poisoned - 1} may be" in said
    assert all(f"doc_id {doc_id!r} (endpoint x answered 500" in said for doc_id in poisoned)
    assert "--max-not-judged" in said
    assert "what was judged is recorded" in said
    assert len(store.judgments) == 10 - num_poisoned


def test_an_item_counts_once_however_many_judges_did_not_judge_it():
    layers = Tolerated(poisoned_pool(), 10, 2)
    for judge in (JUDGE, with_program(OTHER)):
        assert sum(not judgment.is_judged for judgment in layers.judge(calls_of(judge, EXAMPLES))) == 2


def test_one_in_a_hundred_may_be_not_judged_by_default():
    examples = make_examples(500)
    calls = calls_of(JUDGE, examples)
    for num_poisoned, is_tolerated in ((5, True), (6, False)):
        poisoned = {example.item.doc_id for example in examples[:num_poisoned]}
        layers = Tolerated(poisoned_pool(poisoned), len(examples))
        if is_tolerated:
            layers.judge(calls)
        else:
            with pytest.raises(TooManyNotJudgedError):
                layers.judge(calls)


@pytest.mark.parametrize(("missing", "is_judged"), [((0,), True), ((0, 1), True), ((0, 1, 2), False)])
def test_votes_are_combined_of_the_samples_that_were_judged(missing, is_judged):
    """Of four samples at least two have to be."""
    judge = JUDGE.model_copy(update={"votes": Votes(num_samples=4), "sampling": Sampling(temperature=0.5)})
    pool = InProcessPool(ScriptedEngine(rate_well), lambda call: call.occurrence in missing)
    (judgment,) = Voted(pool).judge([JudgeCall(judge, EXAMPLES[3].item)])
    assert judgment.is_judged == is_judged
    assert judgment.value == (4.0 if is_judged else None)
    assert judgment.invalid_reason is None
    assert judgment.prompt_tokens == 10 * (4 - len(missing))

"""The evaluation plane: order, the store that answers what it holds, budgets and what watchers are told."""

import pytest

from judge_serve.catalogue.entries import Prices
from judge_serve.judging import EngineError, EngineReply, Judge, Sampling, Votes
from judge_serve.judging.errors import MisconfiguredError, PromptTooLongError
from optimize_workers.evaluation.budget import Budget, BudgetExceededError
from optimize_workers.evaluation.plane import EvaluationPlane, JudgeCall, are_recorded
from tests.builders import JUDGE, PROGRAM, make_examples
from tests.fakes import InProcessPool, MemoryStore, ScriptedEngine, Watching, json_reply
from tests.unit.optimize_workers.optimizers.searches import gold_of, rate_well

EXAMPLES = make_examples(10)
OTHER = PROGRAM.with_sections({"rubric": "Rate it well."})
SAME_TEXT = PROGRAM.with_sections({"instruction": PROGRAM.instruction})
CALLS = [JudgeCall(PROGRAM, example) for example in EXAMPLES]


def plane_on(script=rate_well, **options):
    engine = ScriptedEngine(script)
    return engine, EvaluationPlane(JUDGE, InProcessPool(engine), **options)


def ratings(judgments):
    return [judgment.rating for judgment in judgments]


def test_the_plane_keeps_the_order_of_calls_over_several_programs():
    _, plane = plane_on(lambda request: json_reply(5 if "Rate it well." in request.messages[0]["content"] else 1))
    calls = [JudgeCall(program, example) for example in EXAMPLES for program in (PROGRAM, OTHER)]
    judgments = plane.evaluate(calls)
    assert ratings(judgments) == [1, 5] * 10
    assert [j.doc_id for j in judgments] == [call.example.item.doc_id for call in calls]


@pytest.mark.parametrize("store", [None, MemoryStore()])
def test_the_plane_tells_about_every_judgment(store):
    watcher = Watching()
    _, plane = plane_on(store=store, watcher=watcher)
    assert plane.evaluate(CALLS) == watcher.judgments


# --- the store ---


def test_a_repeated_evaluation_costs_no_call_and_says_so():
    engine, plane = plane_on(store=MemoryStore())
    first, second = plane.evaluate(CALLS), plane.evaluate(CALLS)
    assert engine.calls == 10
    assert ratings(first) == ratings(second) == [int(e.gold_rating) for e in EXAMPLES]
    assert [j.cached for j in first + second] == [False] * 10 + [True] * 10
    assert (plane.counts.calls, plane.counts.cached) == (20, 10)


def test_only_what_is_missing_is_asked():
    engine, plane = plane_on(store=MemoryStore())
    plane.evaluate(CALLS[2:5])
    judgments = plane.evaluate(CALLS)
    assert engine.calls == 10
    assert [j.cached for j in judgments] == [False] * 2 + [True] * 3 + [False] * 5
    assert ratings(judgments) == [int(e.gold_rating) for e in EXAMPLES]


def test_the_same_call_twice_in_a_wave_is_asked_once():
    engine, plane = plane_on(store=MemoryStore(), watcher=(watcher := Watching()))
    judgments = plane.evaluate([*CALLS, *CALLS[:3]])
    assert engine.calls == 10
    assert judgments[10:] != judgments[:3]
    assert [j.cached for j in judgments] == [False] * 10 + [True] * 3
    assert len(watcher.judgments) == 13


def test_occurrences_are_asked_each():
    engine, plane = plane_on(store=MemoryStore())
    plane.evaluate([JudgeCall(PROGRAM, EXAMPLES[0], n) for n in range(4)])
    assert engine.calls == 4


def test_a_judgment_of_the_same_prompt_carries_the_program_that_was_asked_for():
    engine, plane = plane_on(store=MemoryStore())
    plane.evaluate(CALLS)
    judgments = plane.evaluate([JudgeCall(SAME_TEXT, example) for example in EXAMPLES])
    assert engine.calls == 10
    assert {j.program for j in judgments} == {SAME_TEXT.digest}


def test_a_prompt_that_was_too_long_is_asked_again():
    engine, plane = plane_on(lambda _: PromptTooLongError("too long"), store=MemoryStore())
    plane.evaluate(CALLS[:1])
    plane.evaluate(CALLS[:1])
    assert engine.calls == 2
    assert not are_recorded(CALLS[:1], JUDGE, plane._store)


def test_a_failed_wave_says_that_what_was_judged_is_kept():
    _, plane = plane_on(lambda _: MisconfiguredError("down"), store=MemoryStore())
    with pytest.raises(MisconfiguredError, match="down; what was judged is recorded, the same command goes on"):
        plane.evaluate(CALLS)


def test_without_an_engine_recorded_judgments_are_answered_and_others_are_an_error():
    store = MemoryStore()
    plane_on(store=store)[1].evaluate(CALLS[:5])
    assert are_recorded(CALLS[:5], JUDGE, store) and not are_recorded(CALLS, JUDGE, store)
    alone = EvaluationPlane(JUDGE, None, store=store)
    assert len(alone.evaluate(CALLS[:5])) == 5
    with pytest.raises(EngineError, match="5 judgments are not recorded"):
        alone.evaluate(CALLS)


# --- budgets ---


def test_recorded_judgments_count_in_the_budget():
    engine, plane = plane_on(store=MemoryStore(), budget=(budget := Budget(25)))
    plane.evaluate(CALLS)
    plane.evaluate(CALLS)
    assert (engine.calls, budget.used) == (10, 20)
    with pytest.raises(BudgetExceededError, match="10 judge calls asked, 5 of 25 left"):
        plane.evaluate(CALLS)


def with_tokens(prompt, completion):
    return lambda request: EngineReply(json_reply(gold_of(request)), "stop", prompt, completion)


def test_tokens_and_dollars_are_counted_from_the_replies_recorded_ones_included():
    budget = Budget(100, max_tokens=10**6, max_usd=1.0)
    prices = Prices(prompt=1.0, completion=10.0)
    _, plane = plane_on(with_tokens(100, 20), store=MemoryStore(), budget=budget, prices=prices)
    plane.evaluate(CALLS)
    assert (budget.used_tokens, budget.used_usd) == (1_200, pytest.approx(0.003))
    plane.evaluate(CALLS)
    assert (budget.used_tokens, budget.used_usd) == (2_400, pytest.approx(0.006))
    assert (plane.counts.prompt_tokens, plane.counts.completion_tokens) == (1_000, 200)


def test_a_wave_that_could_exceed_the_tokens_is_not_sent():
    engine, plane = plane_on(budget=Budget(100, max_tokens=500))
    with pytest.raises(BudgetExceededError, match="tokens asked, 500 of 500 left"):
        plane.evaluate(CALLS)
    assert engine.calls == 0


def test_tokens_are_never_exceeded_by_a_tokenizer_of_a_token_a_byte():
    """The worst that a tokenizer does; waves go on until one is refused."""
    budget = Budget(10**6, max_tokens=100_000)

    def greedy(request):
        num_bytes = sum(len(message["content"].encode()) + 16 for message in request.messages)
        return EngineReply(json_reply(3), "stop", num_bytes, request.max_tokens)

    _, plane = plane_on(greedy, budget=budget)
    with pytest.raises(BudgetExceededError):
        for _ in range(1_000):
            plane.evaluate(CALLS)
    assert 0.8 * budget.max_tokens < budget.used_tokens <= budget.max_tokens


def test_watchers_are_told_what_is_left():
    watcher = Watching()
    budget = Budget(100, max_usd=1.0)
    _, plane = plane_on(with_tokens(100, 20), budget=budget, watcher=watcher, prices=Prices(prompt=1, completion=10))
    plane.evaluate(CALLS)
    assert watcher.budgets[-1] == (90, pytest.approx(0.997), None)


def test_the_first_few_calls_show_how_the_model_counts_tokens():
    """A token a byte would be 10 x 700 and more; four bytes a token fit."""

    def sparing(request):
        num_bytes = sum(len(message["content"]) for message in request.messages)
        return EngineReply(json_reply(3), "stop", num_bytes // 4, 20)

    engine, plane = plane_on(sparing, budget=Budget(100, max_tokens=7_500))
    assert len(plane.evaluate(CALLS)) == 10
    assert plane._pool.waves == [4, 6]
    assert engine.calls == 10


# --- votes ---


VOTING = Judge(
    program=PROGRAM, model=JUDGE.model, sampling=Sampling(temperature=0.7), votes=Votes(num_samples=3)
)  # the scripted samples below follow the seed


def by_seed(request):
    return json_reply(1 + request.seed % 3)


@pytest.mark.parametrize("store", [None, MemoryStore()])
def test_votes_are_combined_in_the_order_of_the_calls_and_paid_for_one_by_one(store):
    engine, budget = ScriptedEngine(by_seed), Budget(100)
    plane = EvaluationPlane(VOTING, InProcessPool(engine), budget, store=store)
    judgments = plane.answer(CALLS)
    assert [(j.doc_id, j.rating, j.expected_rating) for j in judgments] == [
        (call.example.item.doc_id, 2, 2.0) for call in CALLS
    ]
    assert engine.calls == budget.used == plane.counts.calls == 3 * len(CALLS)


def test_single_samples_and_votes_share_what_is_recorded():
    engine, store = ScriptedEngine(by_seed), MemoryStore()
    plane = EvaluationPlane(VOTING, InProcessPool(engine), store=store)
    assert ratings(plane.evaluate(CALLS)) == [1] * len(CALLS)
    assert not are_recorded(CALLS, VOTING, store)
    assert ratings(plane.answer(CALLS)) == [2] * len(CALLS)
    assert engine.calls == 3 * len(CALLS)
    assert are_recorded(CALLS, VOTING, store)
    assert all(judgment.cached for judgment in EvaluationPlane(VOTING, None, store=store).answer(CALLS))

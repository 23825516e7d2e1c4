"""The layers: order, the store that answers what it holds, budgets, votes, and what is told on the way."""

import pytest

from judge_serve.catalogue.entries import Prices
from judge_serve.judging import EngineError, EngineReply, Judge, ModelIdentity, Sampling, Votes
from judge_serve.judging.errors import MisconfiguredError, NoEngineError, PromptTooLongError
from judge_serve.judging.judge_call import JudgeCall, calls_of
from optimize_workers.evaluation.answered_by import AnsweredBy, calls_to
from optimize_workers.evaluation.budget import Budget, BudgetExceededError
from optimize_workers.evaluation.budgeted import Budgeted
from optimize_workers.evaluation.recorded import Lookup, Recorded, are_recorded
from optimize_workers.evaluation.voted import Voted
from optimize_workers.evaluation.watched import Watched
from tests.builders import JUDGE, PROGRAM, make_examples
from tests.fakes import InProcessPool, MemoryStore, ScriptedEngine, Watching, json_reply
from tests.unit.optimize_workers.optimizers.searches import gold_of, rate_well

EXAMPLES = make_examples(10)
OTHER = PROGRAM.with_sections({"rubric": "Rate it well."})
SAME_TEXT = PROGRAM.with_sections({"instruction": PROGRAM.instruction})
CALLS = calls_of(JUDGE, EXAMPLES)


def with_program(program):
    return JUDGE.model_copy(update={"program": program})


def stack_on(script=rate_well, *, store=None, budget=None, watcher=None, prices=None):
    """An engine, and the layers that are asked for on a pool over it."""
    engine = ScriptedEngine(script)
    pool = layers = InProcessPool(engine)
    if store is not None:
        layers = Recorded(layers, store)
    if budget is not None:
        layers = Budgeted(layers, budget, prices=prices, watcher=watcher)
    return engine, pool, Watched(layers, watcher)


def ratings(judgments):
    return [judgment.rating for judgment in judgments]


def test_layers_keep_the_order_of_calls_over_several_programs():
    _, _, layers = stack_on(lambda request: json_reply(5 if "Rate it well." in request.messages[0]["content"] else 1))
    judges = (JUDGE, with_program(OTHER))
    calls = [JudgeCall(judge, example.item) for example in EXAMPLES for judge in judges]
    judgments = layers.judge(calls)
    assert ratings(judgments) == [1, 5] * 10
    assert [j.doc_id for j in judgments] == [call.item.doc_id for call in calls]


@pytest.mark.parametrize("store", [None, MemoryStore()])
def test_watchers_are_told_about_every_judgment(store):
    watcher = Watching()
    _, _, layers = stack_on(store=store, watcher=watcher)
    assert layers.judge(CALLS) == watcher.judgments


# --- the store ---


def test_a_repeated_evaluation_costs_no_call_and_says_so():
    engine, _, layers = stack_on(store=MemoryStore())
    first, second = layers.judge(CALLS), layers.judge(CALLS)
    assert engine.calls == 10
    assert ratings(first) == ratings(second) == [int(e.gold_rating) for e in EXAMPLES]
    assert [j.cached for j in first + second] == [False] * 10 + [True] * 10
    assert (layers.counts.calls, layers.counts.cached) == (20, 10)


def test_only_what_is_missing_is_asked():
    engine, _, layers = stack_on(store=MemoryStore())
    layers.judge(CALLS[2:5])
    judgments = layers.judge(CALLS)
    assert engine.calls == 10
    assert [j.cached for j in judgments] == [False] * 2 + [True] * 3 + [False] * 5
    assert ratings(judgments) == [int(e.gold_rating) for e in EXAMPLES]


def test_the_same_call_twice_in_a_wave_is_asked_once():
    engine, _, layers = stack_on(store=MemoryStore(), watcher=(watcher := Watching()))
    judgments = layers.judge([*CALLS, *CALLS[:3]])
    assert engine.calls == 10
    assert judgments[10:] != judgments[:3]
    assert [j.cached for j in judgments] == [False] * 10 + [True] * 3
    assert len(watcher.judgments) == 13


def test_occurrences_are_asked_each():
    engine, _, layers = stack_on(store=MemoryStore())
    layers.judge([JudgeCall(JUDGE, EXAMPLES[0].item, n) for n in range(4)])
    assert engine.calls == 4


def test_a_judgment_of_the_same_prompt_carries_the_program_that_was_asked_for():
    engine, _, layers = stack_on(store=MemoryStore())
    layers.judge(CALLS)
    judgments = layers.judge(calls_of(with_program(SAME_TEXT), EXAMPLES))
    assert engine.calls == 10
    assert {j.program for j in judgments} == {SAME_TEXT.digest}


def test_a_prompt_that_was_too_long_is_asked_again_for_another_context_length_only():
    store, engine = MemoryStore(), ScriptedEngine(lambda _: PromptTooLongError("too long"))
    for context_length, calls in ((None, 1), (None, 1), (4_096, 2), (4_096, 2), (8_192, 3), (4_096, 3)):
        lookup = Lookup(context_length)
        [judgment] = Recorded(InProcessPool(engine), store, lookup).judge(CALLS[:1])
        assert (engine.calls, judgment.invalid_reason) == (calls, "prompt_too_long")
        assert are_recorded(CALLS[:1], store, lookup) and not are_recorded(CALLS[:1], store, Lookup(1))


def test_a_longer_context_is_answered_once():
    store = MemoryStore()
    Recorded(InProcessPool(ScriptedEngine(lambda _: PromptTooLongError("no"))), store, Lookup(512)).judge(CALLS[:1])
    engine = ScriptedEngine(rate_well)
    for _ in range(2):
        [judgment] = Recorded(InProcessPool(engine), store, Lookup(1_024)).judge(CALLS[:1])
        assert judgment.is_valid
    assert engine.calls == 1


def test_a_prompt_that_version_0_1_found_too_long_is_asked_again():
    store, engine = MemoryStore(), ScriptedEngine(rate_well)
    [short] = InProcessPool(ScriptedEngine(lambda _: PromptTooLongError("no"))).judge(CALLS[:1])
    store.add([(CALLS[0].key, short)], revision="r")
    Recorded(InProcessPool(engine), store).judge(CALLS[:1])
    assert engine.calls == 1


def test_what_an_earlier_identity_was_asked_is_found_where_both_are_one():
    former, now = ModelIdentity(name="scripted", revision="http://old/v1"), ModelIdentity(name="scripted", reported="s")
    store, engine = MemoryStore(), ScriptedEngine(rate_well)
    old, new = calls_to(CALLS, former), calls_to(CALLS, now)
    Recorded(InProcessPool(engine), store).judge(old[:5])
    assert not are_recorded(new[:5], store) and are_recorded(new[:5], store, Lookup(former=former))
    judgments = Recorded(InProcessPool(engine), store, Lookup(former=former)).judge(new[:8])
    assert engine.calls == 8
    assert {judgment.identity for judgment in judgments} == {now.id}


def test_calls_of_a_release_are_put_to_what_answers():
    store, engine = MemoryStore(), ScriptedEngine(rate_well)
    changed = ModelIdentity(name="scripted", scope=1)
    for model in (changed, ModelIdentity(name="scripted"), changed):
        AnsweredBy(Recorded(InProcessPool(engine), store), model).judge(CALLS)
    assert engine.calls == 2 * len(CALLS)
    assert calls_to(CALLS, CALLS[0].judge.model) is CALLS


def test_a_failed_wave_says_that_what_was_judged_is_kept():
    _, _, layers = stack_on(lambda _: MisconfiguredError("down"), store=MemoryStore())
    with pytest.raises(MisconfiguredError, match="down; what was judged is recorded, the same command goes on"):
        layers.judge(CALLS)


def test_without_an_engine_recorded_judgments_are_answered_and_others_are_an_error():
    store = MemoryStore()
    stack_on(store=store)[2].judge(CALLS[:5])
    assert are_recorded(CALLS[:5], store) and not are_recorded(CALLS, store)
    alone = Recorded(None, store)
    assert len(alone.judge(CALLS[:5])) == 5
    with pytest.raises(NoEngineError, match="5 judgments are not recorded"):
        alone.judge(CALLS)


# --- budgets ---


def test_recorded_judgments_count_in_the_budget():
    engine, _, layers = stack_on(store=MemoryStore(), budget=(budget := Budget(25)))
    layers.judge(CALLS)
    layers.judge(CALLS)
    assert (engine.calls, budget.used) == (10, 20)
    with pytest.raises(BudgetExceededError, match="10 judge calls asked, 5 of 25 left"):
        layers.judge(CALLS)


def with_tokens(prompt, completion):
    return lambda request: EngineReply(json_reply(gold_of(request)), "stop", prompt, completion)


def test_tokens_and_dollars_are_counted_from_the_replies_recorded_ones_included():
    budget = Budget(100, max_tokens=10**6, max_usd=1.0)
    prices = Prices(prompt=1.0, completion=10.0)
    _, _, layers = stack_on(with_tokens(100, 20), store=MemoryStore(), budget=budget, prices=prices)
    layers.judge(CALLS)
    assert (budget.used_tokens, budget.used_usd) == (1_200, pytest.approx(0.003))
    layers.judge(CALLS)
    assert (budget.used_tokens, budget.used_usd) == (2_400, pytest.approx(0.006))
    assert (layers.counts.prompt_tokens, layers.counts.completion_tokens) == (1_000, 200)


def test_a_wave_that_could_exceed_the_tokens_is_not_sent():
    engine, _, layers = stack_on(budget=Budget(100, max_tokens=500))
    with pytest.raises(BudgetExceededError, match="tokens asked, 500 of 500 left"):
        layers.judge(CALLS)
    assert engine.calls == 0


def test_tokens_are_never_exceeded_by_a_tokenizer_of_a_token_a_byte():
    """The worst that a tokenizer does; waves go on until one is refused."""
    budget = Budget(10**6, max_tokens=100_000)

    def greedy(request):
        num_bytes = sum(len(message["content"].encode()) + 16 for message in request.messages)
        return EngineReply(json_reply(3), "stop", num_bytes, request.max_tokens)

    _, _, layers = stack_on(greedy, budget=budget)
    with pytest.raises(BudgetExceededError):
        for _ in range(1_000):
            layers.judge(CALLS)
    assert 0.8 * budget.max_tokens < budget.used_tokens <= budget.max_tokens


def test_watchers_are_told_what_is_left():
    watcher = Watching()
    budget = Budget(100, max_usd=1.0)
    _, _, layers = stack_on(
        with_tokens(100, 20), budget=budget, watcher=watcher, prices=Prices(prompt=1, completion=10)
    )
    layers.judge(CALLS)
    assert watcher.budgets[-1] == (90, pytest.approx(0.997), None)


def test_what_is_promised_and_not_spent_is_told_as_left():
    watcher, budget = Watching(), Budget(100, max_tokens=10_000)
    layer = Budgeted(InProcessPool(ScriptedEngine(with_tokens(100, 20))), budget, watcher=watcher)
    promise = budget.promise(40)
    layer.judge(CALLS, promise=promise)
    assert watcher.budgets[-1] == (90, None, 10_000 - 10 * 120)
    budget.settle(promise)
    assert (budget.unspent, budget.calls_left) == (90, 90)


def test_the_first_few_calls_show_how_the_model_counts_tokens():
    """A token a byte would be 10 x 700 and more; four bytes a token fit."""

    def sparing(request):
        num_bytes = sum(len(message["content"]) for message in request.messages)
        return EngineReply(json_reply(3), "stop", num_bytes // 4, 20)

    engine, pool, layers = stack_on(sparing, budget=Budget(100, max_tokens=7_500))
    assert len(layers.judge(CALLS)) == 10
    assert pool.waves == [4, 6]
    assert engine.calls == 10


# --- what an engine that fails leaves of a budget ---


class Halting:
    """A pool that tells the first judgments and then breaks down, as one of several workers does."""

    def __init__(self, pool, num_judged):
        self._pool, self._num_judged = pool, num_judged

    def judge(self, calls, on_done=None):
        self._pool.judge(calls[: self._num_judged], on_done)
        raise MisconfiguredError("down")


def test_an_engine_that_fails_costs_what_it_judged_and_no_more():
    budget = Budget(30, max_tokens=10**6)
    pool = InProcessPool(ScriptedEngine(with_tokens(100, 20)))
    Budgeted(pool, Budget(30, max_tokens=10**6)).judge(CALLS)
    layer = Budgeted(Halting(pool, 3), budget)
    with pytest.raises(EngineError):
        layer.judge(CALLS)
    assert (budget.used, budget.promised, budget.left) == (3, 0, 27)
    assert budget.used_tokens == 3 * 120


def test_what_an_engine_judged_before_it_failed_is_recorded():
    store = MemoryStore()
    with pytest.raises(EngineError):
        Recorded(Halting(InProcessPool(ScriptedEngine(rate_well)), 3), store).judge(CALLS)
    assert are_recorded(CALLS[:3], store) and not are_recorded(CALLS[3:4], store)


def test_calls_are_drawn_from_a_promise_and_count_when_it_is_settled():
    budget = Budget(30)
    layer = Budgeted(InProcessPool(ScriptedEngine(rate_well)), budget)
    promise = budget.promise(15)
    layer.judge(CALLS, promise=promise)
    assert (budget.used, budget.calls_left, promise.calls, promise.spent) == (0, 15, 5, 10)
    budget.settle(promise)
    assert (budget.used, budget.calls_left) == (10, 20)


def test_a_failed_wave_returns_its_calls_to_the_promise():
    budget = Budget(30)
    promise = budget.promise(15)
    with pytest.raises(EngineError):
        Budgeted(Halting(InProcessPool(ScriptedEngine(rate_well)), 3), budget).judge(CALLS, promise=promise)
    assert (promise.calls, promise.spent) == (12, 3)


# --- every layer ---


def layers_of(pool):
    """Each layer alone, and all of them."""
    budget = Budget(1_000)
    whole = Voted(Watched(Budgeted(Recorded(pool, MemoryStore()), budget), Watching()))
    probing = Budgeted(pool, Budget(1_000, max_tokens=10**7))
    return [pool, Recorded(pool, MemoryStore()), Budgeted(pool, budget), probing, Watched(pool), Voted(pool), whole]


@pytest.mark.parametrize("number", range(7))
def test_a_layer_tells_each_judgment_once_with_its_place(number):
    layer = layers_of(InProcessPool(ScriptedEngine(rate_well)))[number]
    calls = [*CALLS, CALLS[0]]
    for _ in range(2):  # the second time from the store, where there is one
        told = {}

        def note(places, judgments, told=told):
            assert not set(places) & set(told)
            told.update(zip(places, judgments, strict=True))

        judgments = layer.judge(calls, note)
        assert [told[place] for place in range(len(calls))] == judgments
        assert [judgment.doc_id for judgment in judgments] == [call.item.doc_id for call in calls]


# --- votes ---


VOTING = Judge(
    program=PROGRAM, model=JUDGE.model, sampling=Sampling(temperature=0.7), votes=Votes(num_samples=3)
)  # the scripted samples below follow the seed


def by_seed(request):
    return json_reply(1 + request.seed % 3)


@pytest.mark.parametrize("store", [None, MemoryStore()])
def test_votes_are_combined_in_the_order_of_the_calls_and_paid_for_one_by_one(store):
    engine, budget, calls = ScriptedEngine(by_seed), Budget(100), calls_of(VOTING, EXAMPLES)
    pool = InProcessPool(engine)
    watched = Watched(Budgeted(pool if store is None else Recorded(pool, store), budget))
    judgments = Voted(watched).judge(calls)
    assert [(j.doc_id, j.rating, j.expected_rating) for j in judgments] == [
        (call.item.doc_id, 2, 2.0) for call in calls
    ]
    assert engine.calls == budget.used == watched.counts.calls == 3 * len(CALLS)


def test_single_samples_and_votes_share_what_is_recorded():
    engine, store, calls = ScriptedEngine(by_seed), MemoryStore(), calls_of(VOTING, EXAMPLES)
    samples = Recorded(InProcessPool(engine), store)
    assert ratings(samples.judge(calls)) == [1] * len(calls)
    assert not are_recorded(calls, store)
    assert ratings(Voted(samples).judge(calls)) == [2] * len(calls)
    assert engine.calls == 3 * len(calls)
    assert are_recorded(calls, store)
    assert all(judgment.cached for judgment in Voted(Recorded(None, store)).judge(calls))

"""Reflection: recorded under its content, charged to the budget, patient in an outage."""

import pytest

from judge_serve.catalogue.entries import Prices
from judge_serve.judging import EngineReply, ModelIdentity, RetryPolicy
from judge_serve.judging.errors import MisconfiguredError, OutageError, RateLimitedError, ServerError
from optimize_workers.evaluation.budget import Budget, BudgetExceededError
from optimize_workers.reflection import ReflectionModel, Reflector, complete_patiently
from tests.builders import make_example, make_examples
from tests.fakes import MemoryStore

MODEL = ModelIdentity(name="writer")


class Writer:
    """Answers with the number of the request; remembers the requests."""

    def __init__(self):
        self.requests = []

    def __call__(self, request):
        self.requests.append(request)
        return EngineReply(f"text {len(self.requests)}", "stop", prompt_tokens=100, completion_tokens=50)


def reflector(writer, prices=None, **options):
    return Reflector(ReflectionModel(writer, MODEL, 200, prices), **options)


def test_a_study_run_anew_gets_the_same_texts_and_asks_nothing():
    store, writer = MemoryStore(), Writer()
    first = reflector(writer, store=store)
    texts = [first("a"), first("b"), first("a")]
    again = reflector(writer, store=store)
    assert [again("a"), again("b"), again("a")] == texts == ["text 1", "text 2", "text 3"]
    assert (len(writer.requests), again.num_asked, again.num_cached) == (3, 3, 3)


def test_the_same_prompt_twice_gets_two_texts_of_two_seeds():
    writer = Writer()
    ask = reflector(writer, store=MemoryStore(), seed=7)
    assert ask("a") != ask("a")
    assert [request.seed for request in writer.requests] == [7_000, 7_001]


def test_another_seed_another_text():
    store, writer = MemoryStore(), Writer()
    assert reflector(writer, store=store, seed=0)("a") != reflector(writer, store=store, seed=1)("a")


def test_documents_that_a_prompt_shows_are_noted():
    quoted = make_example(number=90, document='He said "yes".\nThen he left.')
    store = MemoryStore()
    examples = [*make_examples(3), quoted]
    prompt = f'one: {examples[1].item.document}, escaped: He said \\"yes\\".\\nThen he left.'
    reflector(Writer(), store=store, examples=examples)(prompt)
    assert list(store.doc_ids.values()) == [["train-d1", "train-d90"]]


def test_reflecting_spends_tokens_and_dollars_but_no_judge_calls():
    budget = Budget(10, max_tokens=1_000, max_usd=1.0)
    reflector(Writer(), budget=budget, prices=Prices(prompt=1_000.0, completion=2_000.0))("a")
    assert (budget.used, budget.used_tokens, budget.used_usd) == (0, 150, pytest.approx(0.2))


def test_a_prompt_that_could_exceed_the_tokens_is_not_sent():
    writer = Writer()
    with pytest.raises(BudgetExceededError):
        reflector(writer, budget=Budget(10, max_tokens=250))("a" * 100)
    assert writer.requests == []


class Time:
    """A clock that moves when somebody sleeps."""

    def __init__(self):
        self.now = 0.0

    def sleep(self, seconds):
        self.now += seconds


def patient(answers, waits=None, **policy):
    time = Time()
    script = iter(answers)

    def complete():
        answer = next(script)
        if isinstance(answer, Exception):
            raise answer
        return answer

    on_wait = (waits if waits is not None else []).append
    return complete_patiently(complete, RetryPolicy(**policy), on_wait, time.sleep, lambda: time.now), time.now


def test_an_outage_of_the_reflection_model_is_waited_out():
    waits = []
    reply, waited_s = patient([ServerError("busy")] * 3 + ["text"], waits)
    assert reply == "text"
    assert 0.5 + 1 + 2 <= waited_s <= 1 + 2 + 4
    assert "the reflection model gives no answer" in waits[0] and "busy" in waits[0]


def test_as_long_as_the_model_asks():
    _, waited_s = patient([RateLimitedError("busy", retry_after_s=50.0), "text"])
    assert waited_s >= 50.0


def test_a_long_outage_ends_with_its_reason():
    with pytest.raises(OutageError, match=r"no answer for \d+ s: down"):
        patient([ServerError("down")] * 1_000, max_outage_s=60.0)


def test_an_error_that_no_wait_mends_is_raised_at_once():
    with pytest.raises(MisconfiguredError, match="bad key"):
        patient([MisconfiguredError("bad key"), "text"])

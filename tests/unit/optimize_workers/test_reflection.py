"""Reflection: recorded under its content, charged to the budget, patient in an outage."""

import itertools
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from judge_serve.catalogue.entries import Prices
from judge_serve.judging import EngineReply, InvalidReason, ModelIdentity, RetryPolicy
from judge_serve.judging.errors import (
    CallFailedError,
    MisconfiguredError,
    OutageError,
    PromptTooLongError,
    RateLimitedError,
    RefusedRequestError,
    ServerError,
)
from optimize_workers.evaluation.budget import Budget, BudgetExceededError
from optimize_workers.guardrails import Refusal
from optimize_workers.reflection import Reflection, ReflectionModel, Reflector, complete_patiently
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


def patient(answers, waits=None, num_answered=lambda: 0, **policy):
    time = Time()
    script = iter(answers)

    def complete():
        answer = next(script)
        if isinstance(answer, Exception):
            raise answer
        return answer

    on_wait = (waits if waits is not None else []).append
    return complete_patiently(
        complete, RetryPolicy(**policy), on_wait, num_answered, time.sleep, lambda: time.now
    ), time.now


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


def test_a_request_that_alone_fails_is_given_up_long_before_an_outage_would_be():
    others = itertools.count()
    with pytest.raises(CallFailedError, match=r"no answer for \d+ s while others got one: broken"):
        patient([ServerError("broken")] * 5, num_answered=lambda: next(others))


def test_an_outage_that_begins_while_others_are_answered_is_an_outage():
    others = iter([1, 1, 2, 2, 3, *[3] * 1_000])
    with pytest.raises(OutageError):
        patient([ServerError("down")] * 1_000, num_answered=lambda: next(others))


def test_who_waits_for_its_turn_under_a_rate_limit_is_patient():
    others = itertools.count()
    _, waited_s = patient([RateLimitedError("busy", retry_after_s=50.0)] * 6 + ["text"], None, lambda: next(others))
    assert waited_s >= 300.0


def test_an_error_that_no_wait_mends_is_raised_at_once():
    with pytest.raises(MisconfiguredError, match="bad key"):
        patient([MisconfiguredError("bad key"), "text"])


# --- replies that hold no text ---


class Filtered(RefusedRequestError):
    """This prompt only was refused."""

    invalid_reason = InvalidReason.REFUSAL


def answering(*answers):
    """A model that gives these replies, or raises these errors, in turn; asked more often it fails the test."""
    script = iter(answers)

    def complete(_request):
        answer = next(script)
        if isinstance(answer, Exception):
            raise answer
        return answer

    return complete


CUT = EngineReply("Weigh whether the page", "length", prompt_tokens=100, completion_tokens=50)
FILTERED = EngineReply("", "content_filter", prompt_tokens=100)
REFUSED = Filtered("the prompt was filtered")


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (CUT, "truncated"),
        (EngineReply("Weigh", "max_tokens"), "truncated"),
        (EngineReply("```\nWhole.\n```\nThe chan", "length"), "truncated"),
        (FILTERED, "refusal"),
        (EngineReply("Partly", "content_filter"), "refusal"),
        (REFUSED, "refusal"),
        (EngineReply("<think>The cause may be", "stop"), "chatter"),
    ],
)
def test_a_reply_without_a_text_is_a_refusal_that_a_study_run_anew_gets_too(answer, reason):
    store = MemoryStore()
    first = reflector(answering(answer), store=store)("a")
    again = reflector(answering(), store=store)("a")
    assert first == again
    assert (first.reason, bool(first.detail)) == (reason, True)


def test_a_prompt_that_is_too_long_is_refused_and_asked_again_another_time():
    store = MemoryStore()
    refused = reflector(answering(PromptTooLongError("9000 tokens of 4096")), store=store)("a")
    assert refused == Refusal("prompt_too_long", "9000 tokens of 4096")
    assert reflector(Writer(), store=store)("a") == "text 1"


def test_a_recorded_text_of_an_older_version_is_still_read():
    store = MemoryStore()
    reflector(Writer(), store=store)("a")
    assert list(store.reflections.values()) == [Reflection("text 1", 100, 50)]


def test_thinking_is_recorded_and_left_out():
    store = MemoryStore()
    ask = reflector(answering(EngineReply("<think>Why?</think>\nMind dates.", "stop")), store=store)
    assert ask("a") == "\nMind dates." == reflector(answering(), store=store)("a")
    assert "Why?" in next(iter(store.reflections.values())).text


def test_a_reply_that_is_cut_off_is_paid_and_a_refused_request_is_not():
    budget = Budget(10, max_tokens=1_000)
    ask = reflector(answering(CUT, REFUSED), budget=budget)
    ask("a"), ask("b")
    assert budget.used_tokens == 150


def test_a_request_that_alone_fails_refuses_its_proposal_and_is_asked_again_another_time():
    store = MemoryStore()
    refused = reflector(answering(CallFailedError("no answer for 120 s")), store=store)("a")
    assert refused == Refusal("not_answered", "no answer for 120 s")
    assert reflector(Writer(), store=store)("a") == "text 1"


def test_an_error_of_the_endpoint_is_no_refusal():
    with pytest.raises(MisconfiguredError):
        reflector(answering(MisconfiguredError("bad key")))("a")


# --- progress ---


def test_it_is_told_how_many_are_waited_for_as_long_as_the_model_writes():
    may_answer, news = threading.Event(), []

    def complete(_request):
        assert may_answer.wait(10)
        return EngineReply("text", "stop")

    def listen(num_asked, num_answered):
        news.append((num_asked, num_answered))
        if news.count((2, 0)) == 2:
            may_answer.set()

    ask = reflector(complete, on_news=listen)
    with ThreadPoolExecutor(2) as threads:
        assert list(threads.map(ask, ["a", "b"])) == ["text", "text"]
    assert news[-1] == (2, 2)


def test_what_the_store_answers_is_not_waited_for():
    store, news = MemoryStore(), []
    reflector(Writer(), store=store)("a")
    reflector(answering(), store=store, on_news=lambda *told: news.append(told))("a")
    assert news == []

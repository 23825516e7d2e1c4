"""Retrying by class: what is sent again, and what ends at once."""

import asyncio

import pytest

from judge_serve.judging import EngineRequest, RetryPolicy
from judge_serve.judging.errors import (
    EngineTimeoutError,
    FatalError,
    RateLimitedError,
    RefusedRequestError,
    TransientError,
    UnreachableError,
)
from judge_serve.judging.retrying import complete_with_retry
from tests.fakes import ScriptedEngine
from tests.virtual_time import run_in_virtual_time

REQUEST = EngineRequest(({"role": "user", "content": "?"},), max_tokens=8)
FAST = RetryPolicy(attempts=3, first_wait_s=0.0, longest_wait_s=0.01)


def complete(engine, retry=FAST):
    return asyncio.run(complete_with_retry(engine, REQUEST, retry)).text


@pytest.mark.parametrize("kind", TransientError.__subclasses__())
def test_transient_failures_are_sent_again(kind):
    engine = ScriptedEngine([kind("not now"), kind("nor now"), "answer"])
    assert (complete(engine), engine.calls) == ("answer", 3)


@pytest.mark.parametrize("kind", [*FatalError.__subclasses__(), *RefusedRequestError.__subclasses__()])
def test_other_failures_end_at_once(kind):
    engine = ScriptedEngine([kind("never"), "answer"])
    with pytest.raises(kind, match="never"):
        complete(engine)
    assert engine.calls == 1


def test_a_failure_that_comes_after_a_transient_one_decides():
    engine = ScriptedEngine([TransientError("not now"), FatalError("never"), "answer"])
    with pytest.raises(FatalError, match="never"):
        complete(engine)
    assert engine.calls == 2


def test_a_single_attempt_is_a_single_attempt():
    engine = ScriptedEngine([TransientError("not now"), "answer"])
    with pytest.raises(TransientError):
        complete(engine, RetryPolicy(attempts=1))
    assert engine.calls == 1


def test_a_later_wish_for_a_long_wait_ends_it_as_well():
    engine = ScriptedEngine([RateLimitedError("busy"), RateLimitedError("busy", retry_after_s=60.0), "answer"])
    with pytest.raises(RateLimitedError) as caught:
        complete(engine)
    assert (caught.value.retry_after_s, engine.calls) == (60.0, 2)


# --- the deadline over all attempts, in virtual time ---


def ask_for(engine, **policy):
    """What complete_with_retry raised, and after how many seconds."""

    async def ask():
        clock = asyncio.get_running_loop().time
        started = clock()
        try:
            await complete_with_retry(engine, REQUEST, RetryPolicy(**policy))
        except Exception as error:
            return error, clock() - started
        raise AssertionError("it was answered")

    return run_in_virtual_time(ask())


def test_an_attempt_under_way_ends_at_the_deadline():
    error, seconds = ask_for(ScriptedEngine(delay_s=3_600.0), deadline_s=60.0)
    assert type(error) is EngineTimeoutError
    assert str(error) == "no answer in the 60 s that a call may take"
    assert seconds == 60.0


def test_the_deadline_is_one_over_all_attempts_and_names_the_last_failure():
    engine = ScriptedEngine(lambda _: UnreachableError("cannot reach it"), delay_s=25.0)
    error, seconds = ask_for(engine, deadline_s=60.0, first_wait_s=0.0)
    assert type(error) is EngineTimeoutError
    assert str(error) == "cannot reach it; gave up after the 60 s that a call may take"
    assert (seconds, engine.calls) == (60.0, 3)


def test_a_wait_that_would_end_after_the_deadline_is_not_begun():
    engine = ScriptedEngine(lambda _: RateLimitedError("busy", retry_after_s=15.0))
    error, seconds = ask_for(engine, deadline_s=10.0)
    assert (type(error), seconds, engine.calls) == (EngineTimeoutError, 0.0, 1)
    assert str(error).startswith("busy; gave up")
    assert error.retry_after_s == 15.0


def test_who_is_asked_when_the_deadline_comes_is_cancelled():
    cancelled = []

    class Slow(ScriptedEngine):
        async def complete(self, request):
            try:
                await asyncio.sleep(3_600.0)
            except asyncio.CancelledError:
                cancelled.append(request)
                raise

    ask_for(Slow(), deadline_s=60.0)
    assert cancelled == [REQUEST]

"""Retrying by class: what is sent again, and what ends at once."""

import asyncio

import pytest

from judge_serve.judging import EngineRequest, RetryPolicy
from judge_serve.judging.errors import FatalError, RateLimitedError, RefusedRequestError, TransientError
from judge_serve.judging.retrying import complete_with_retry
from tests.fakes import ScriptedEngine

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

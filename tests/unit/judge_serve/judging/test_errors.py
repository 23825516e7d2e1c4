"""Engine errors keep what they say when Ray carries them between processes."""

import pickle

import pytest

from judge_serve.judging import EngineError, PromptTooLongError


@pytest.mark.parametrize("kind", [EngineError, PromptTooLongError])
def test_engine_errors_survive_pickling(kind):
    carried = pickle.loads(pickle.dumps(kind("busy", is_retryable=False, retry_after_s=2.5)))
    assert type(carried) is kind
    assert (str(carried), carried.is_retryable, carried.retry_after_s) == ("busy", False, 2.5)


def test_an_engine_error_may_pass():
    assert EngineError("busy").is_retryable


def test_a_prompt_that_is_too_long_stays_too_long():
    assert not PromptTooLongError("5000 tokens").is_retryable

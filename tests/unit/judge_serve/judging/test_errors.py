"""The error tree: every leaf has one decision, and keeps what it says when Ray carries it between processes."""

import pickle

import pytest

from judge_serve.judging import errors
from judge_serve.judging.errors import (
    ContentRefusedError,
    EngineError,
    FatalError,
    MisconfiguredError,
    PromptTooLongError,
    RateLimitedError,
    RefusedInputError,
    RefusedRequestError,
    TransientError,
)

DECISIONS = (TransientError, FatalError, RefusedRequestError)
ALL = [kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, EngineError)]
LEAVES = [kind for kind in ALL if not kind.__subclasses__()]


def carried(error):
    return pickle.loads(pickle.dumps(error))


@pytest.mark.parametrize("kind", [*ALL, RefusedInputError])
def test_an_error_survives_pickling(kind):
    error = carried(kind("busy"))
    assert type(error) is kind
    assert (str(error), vars(error)) == ("busy", vars(kind("busy")))


@pytest.mark.parametrize("kind", [kind for kind in LEAVES if issubclass(kind, TransientError)])
def test_the_wait_that_was_asked_for_survives_pickling(kind):
    assert carried(kind("busy", retry_after_s=2.5)).retry_after_s == 2.5


@pytest.mark.parametrize("kind", LEAVES)
def test_every_leaf_has_one_decision(kind):
    assert sum(issubclass(kind, decision) for decision in DECISIONS) == 1


@pytest.mark.parametrize("kind", [*ALL, RefusedInputError])
def test_the_tree_is_drawn_in_the_docstring(kind):
    assert kind.__name__ in errors.__doc__


@pytest.mark.parametrize("kind", [kind for kind in LEAVES if issubclass(kind, RefusedRequestError)])
def test_every_refusal_names_its_reason(kind):
    assert kind.invalid_reason in errors.InvalidReason


def test_a_prompt_that_is_too_long_is_judged_as_that():
    assert PromptTooLongError("9000 tokens").invalid_reason == "prompt_too_long"


def test_a_refused_text_is_judged_as_a_refusal():
    assert ContentRefusedError("flagged").invalid_reason == "refusal"


def test_advice_is_added_to_the_message_and_changes_nothing_else():
    error = RateLimitedError("busy", retry_after_s=2.5)
    advised = error.with_advice("come back later")
    assert (type(advised), str(advised), advised.retry_after_s) == (RateLimitedError, "busy; come back later", 2.5)
    assert str(error) == "busy"
    assert str(carried(advised)) == "busy; come back later"


def test_only_a_transient_error_says_how_long_to_wait():
    with pytest.raises(TypeError):
        MisconfiguredError("bad key", retry_after_s=1.0)

"""`judge_pair`: one reply per call, patience with engines only, and an honest record."""

import asyncio
import math
import pickle
import time

import pytest

from judge_serve.judging import (
    AnswerMode,
    Demonstration,
    EngineReply,
    InvalidReason,
    Item,
    Judge,
    ModelIdentity,
    Program,
    RetryPolicy,
    Sampling,
    Scale,
    Task,
    judge_pair,
)
from judge_serve.judging.errors import (
    MisconfiguredError,
    NoTokenProbabilitiesError,
    PromptTooLongError,
    RateLimitedError,
    ServerError,
)
from judge_serve.judging.judge_call import JudgeCall, build_request
from tests.fakes import ScriptedEngine, json_reply

ITEM = Item("cat food", "Dry food.", "q1", "d1")
PROGRAM = Program(sections={"task": "Rate it."})
IMPATIENT = RetryPolicy(attempts=3, first_wait_s=0.0, longest_wait_s=0.05)


def judge_in(mode=AnswerMode.GENERATE, **sampling):
    return Judge(program=PROGRAM, model=ModelIdentity(name="m"), sampling=Sampling(**sampling), mode=mode)


def run(engine, mode=AnswerMode.GENERATE, retry=IMPATIENT, occurrence=0):
    return asyncio.run(judge_pair(JudgeCall(judge_in(mode), ITEM, occurrence), engine, retry=retry))


def probabilities(*pairs):
    return tuple((token, math.log(share)) for token, share in pairs)


def test_a_good_reply_is_recorded_with_its_provenance():
    judgment = run(ScriptedEngine([EngineReply(json_reply(4, "on topic"), "stop", 120, 9)]), occurrence=2)
    assert (judgment.rating, judgment.explanation, judgment.invalid_reason) == (4, "on topic", None)
    assert (judgment.query_id, judgment.doc_id, judgment.occurrence) == ("q1", "d1", 2)
    assert (judgment.program, judgment.model, judgment.mode) == (PROGRAM.digest, "m", "generate")
    assert (judgment.prompt_tokens, judgment.completion_tokens) == (120, 9)
    assert judgment.raw_reply == json_reply(4, "on topic")
    assert judgment.cached is False


def test_the_value_of_a_judgment_without_expectation_is_its_rating():
    assert run(ScriptedEngine([json_reply(4)])).value == 4


@pytest.mark.parametrize("reply", ["", "no idea", '{"rating": 9, "explanation": "x"}', '{"rating": 4'])
def test_an_unreadable_reply_costs_one_call(reply):
    engine = ScriptedEngine([reply, json_reply(5)])
    judgment = run(engine)
    assert engine.calls == 1
    assert not judgment.is_valid
    assert judgment.value is None
    assert judgment.raw_reply == reply


def test_the_finish_reason_decides_how_a_reply_is_read():
    assert run(ScriptedEngine([EngineReply("I think", "length")])).invalid_reason is InvalidReason.TRUNCATED


def test_a_raw_reply_can_always_be_stored():
    judgment = run(ScriptedEngine(["a\ud800b\x00c"]))
    assert judgment.raw_reply == "a\ufffdb\ufffdc"
    assert judgment.invalid_reason is InvalidReason.NOT_JSON


# --- engine failures ---


def test_a_passing_failure_is_retried():
    engine = ScriptedEngine([ServerError("busy"), ServerError("busy"), json_reply(2)])
    assert run(engine).rating == 2
    assert engine.calls == 3


def test_every_attempt_sends_the_same_request():
    engine = ScriptedEngine([ServerError("busy"), json_reply(2)])
    run(engine)
    assert engine.requests[0] == engine.requests[1]


def test_a_lasting_failure_is_raised_after_all_attempts():
    engine = ScriptedEngine([ServerError(f"busy {number}") for number in range(5)])
    with pytest.raises(ServerError, match="busy 2"):
        run(engine)
    assert engine.calls == 3


def test_a_failure_that_cannot_pass_is_not_retried():
    engine = ScriptedEngine([MisconfiguredError("bad key"), json_reply(5)])
    with pytest.raises(MisconfiguredError, match="bad key"):
        run(engine)
    assert engine.calls == 1


@pytest.mark.parametrize("error", [RuntimeError("bug"), ValueError("bug"), KeyError("bug")])
def test_our_own_bugs_are_not_retried(error):
    engine = ScriptedEngine([error, json_reply(5)])
    with pytest.raises(type(error), match="bug"):
        run(engine)
    assert engine.calls == 1


def seconds_until(engine, retry):
    started = time.monotonic()
    run(engine, retry=retry)
    return time.monotonic() - started


def test_retry_waits_as_long_as_the_engine_asks():
    engine = ScriptedEngine([RateLimitedError("busy", retry_after_s=0.1), json_reply(1)])
    assert seconds_until(engine, RetryPolicy(first_wait_s=0.0, longest_wait_s=1.0)) >= 0.099


def test_an_engine_that_asks_for_a_longer_wait_than_the_policy_raises_at_once():
    engine = ScriptedEngine([RateLimitedError("busy", retry_after_s=3_600.0), json_reply(1)])
    with pytest.raises(RateLimitedError, match="busy") as caught:
        run(engine, retry=RetryPolicy(first_wait_s=0.0, longest_wait_s=0.01))
    assert (caught.value.retry_after_s, engine.calls) == (3_600.0, 1)


def test_latency_includes_the_waits():
    engine = ScriptedEngine([RateLimitedError("busy", retry_after_s=0.05), json_reply(1)])
    assert run(engine).latency_s >= 0.049


def test_a_prompt_that_is_too_long_is_a_judgment():
    engine = ScriptedEngine([PromptTooLongError("9000 tokens, 4096 fit"), json_reply(5)])
    judgment = run(engine)
    assert (judgment.rating, judgment.invalid_reason) == (None, InvalidReason.PROMPT_TOO_LONG)
    assert (judgment.raw_reply, judgment.finish_reason) == ("9000 tokens, 4096 fit", "refused")
    assert engine.calls == 1


def test_a_prompt_too_long_in_expected_mode_is_a_judgment_too():
    judgment = run(ScriptedEngine([PromptTooLongError("too long")]), AnswerMode.EXPECTED)
    assert (judgment.expected_rating, judgment.invalid_reason) == (None, InvalidReason.PROMPT_TOO_LONG)


# --- expected mode ---


def expected(*pairs, finish_reason="length"):
    return EngineReply("4", finish_reason, first_token_logprobs=probabilities(*pairs))


def test_expected_rating_is_worked_out_from_probabilities():
    # (3 x 0.2 + 4 x 0.6) / 0.8 = 3.75
    judgment = run(ScriptedEngine([expected(("3", 0.2), ("4", 0.6), ("x", 0.2))]), AnswerMode.EXPECTED)
    assert judgment.expected_rating == pytest.approx(3.75)
    assert (judgment.rating, judgment.explanation, judgment.invalid_reason) == (4, None, None)
    assert judgment.value == judgment.expected_rating


def test_expected_mode_without_a_digit_is_invalid():
    judgment = run(ScriptedEngine([expected(("yes", 1.0))]), AnswerMode.EXPECTED)
    assert (judgment.rating, judgment.expected_rating) == (None, None)
    assert (judgment.invalid_reason, judgment.digit_mass) == (InvalidReason.NO_DIGIT, 0.0)


def test_expected_mode_fails_loudly_without_probabilities():
    engine = ScriptedEngine(["4", "4"])
    with pytest.raises(NoTokenProbabilitiesError, match=r"model 'm' returned no token probabilities.*choose mode"):
        run(engine, AnswerMode.EXPECTED)
    assert engine.calls == 1


def test_expected_mode_takes_a_content_filter_for_a_refusal():
    judgment = run(ScriptedEngine([EngineReply("", "content_filter")]), AnswerMode.EXPECTED)
    assert (judgment.rating, judgment.expected_rating, judgment.invalid_reason) == (None, None, "refusal")


def test_text_modes_ignore_probabilities():
    engine = ScriptedEngine([EngineReply(json_reply(2), "stop", first_token_logprobs=probabilities(("5", 1.0)))])
    judgment = run(engine)
    assert (judgment.rating, judgment.expected_rating) == (2, None)


# --- what is sent ---


def test_generate_leaves_the_model_free():
    request = build_request(JudgeCall(judge_in(temperature=0.7, max_tokens=64, seed=5), ITEM))
    assert (request.temperature, request.max_tokens, request.seed) == (0.7, 64, 5)
    assert (request.json_schema, request.choices, request.top_logprobs) == (None, None, 0)


def test_guided_sends_the_schema():
    request = build_request(JudgeCall(judge_in(AnswerMode.GUIDED), ITEM))
    assert request.json_schema["properties"]["rating"]["enum"] == [1, 2, 3, 4, 5]


def test_expected_asks_for_one_greedy_digit_with_probabilities():
    request = build_request(JudgeCall(judge_in(AnswerMode.EXPECTED, temperature=1.5), ITEM))
    assert (request.max_tokens, request.temperature, request.top_logprobs) == (1, 0.0, 20)
    assert request.choices == ("1", "2", "3", "4", "5")


def test_repetitions_differ_in_their_seed_only():
    first, second = (build_request(JudgeCall(judge_in(seed=5), ITEM, occurrence)) for occurrence in (0, 1))
    assert (first.seed, second.seed) == (5, 6)
    assert first.messages == second.messages


def test_equal_judges_send_equal_requests():
    assert build_request(JudgeCall(judge_in(), ITEM)) == build_request(JudgeCall(judge_in(), ITEM))


# --- the judge itself ---


def test_a_demonstration_off_the_scale_is_refused():
    shown = Demonstration(query="q", document="d", rating=3, explanation="e")
    task = Task(scale=Scale(minimum=0, maximum=1, anchors=("no", "yes")))
    with pytest.raises(ValueError, match=r"demonstration ratings \[3\] are off scale 0-1"):
        Judge(task=task, program=Program(sections={"t": "x"}, demonstrations=(shown,)), model=ModelIdentity(name="m"))


UNEXPLAINED = (
    Demonstration(query="q", document="d", rating=3, explanation="e"),
    Demonstration(query="q2", document="d2", rating=4),
)


@pytest.mark.parametrize("mode", [AnswerMode.GENERATE, AnswerMode.GUIDED])
def test_a_demonstration_without_explanation_is_refused_where_replies_hold_one(mode):
    program = Program(sections={"t": "x"}, demonstrations=UNEXPLAINED)
    with pytest.raises(ValueError, match=rf"demonstrations \[2\] have no explanation.* mode '{mode}' .*'expected'"):
        Judge(program=program, model=ModelIdentity(name="m"), mode=mode)


def test_a_demonstration_without_explanation_shows_its_digit():
    program = Program(sections={"t": "x"}, demonstrations=UNEXPLAINED)
    judge = Judge(program=program, model=ModelIdentity(name="m"), mode=AnswerMode.EXPECTED)
    assert [m["content"] for m in build_request(JudgeCall(judge, ITEM)).messages if m["role"] == "assistant"] == [
        "3",
        "4",
    ]


@pytest.mark.parametrize("sampling", [{"temperature": -0.1}, {"temperature": math.nan}, {"max_tokens": 0}])
def test_impossible_sampling_is_refused(sampling):
    with pytest.raises(ValueError, match=next(iter(sampling))):
        Sampling(**sampling)


def test_calls_of_one_engine_can_run_together():
    async def judge_many():
        engine = ScriptedEngine(delay_s=0.01)
        return await asyncio.gather(*(judge_pair(JudgeCall(judge_in(), ITEM), engine) for _ in range(50)))

    assert {judgment.rating for judgment in asyncio.run(judge_many())} == {3}


def test_a_judge_sent_twice_is_one_object_at_the_other_end():
    judge = judge_in()
    sent = pickle.dumps(judge)
    received = pickle.loads(sent)
    assert received == judge and received.digest == judge.digest
    assert pickle.loads(sent) is received

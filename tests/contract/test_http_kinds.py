"""One judge at endpoints of many kinds: what each refuses, returns or delays, and what is judged in the end."""

from __future__ import annotations

import asyncio
import json
import math
from collections.abc import Callable
from typing import Any, NamedTuple

import pytest

from judge_serve.engines.http import HttpEngine, HttpEngineConfig
from judge_serve.judging import AnswerMode, EngineReply, InvalidReason, Item, Judge, JudgeCall, Judgment, judge_pair
from judge_serve.judging.retrying import RetryPolicy
from tests.builders import JUDGE
from tests.contract.endpoints import Answer, Answering, Endpoint, Received, completion, json_answer

EXPECTED = JUDGE.model_copy(update={"mode": AnswerMode.EXPECTED})
GUIDED = JUDGE.model_copy(update={"mode": AnswerMode.GUIDED})
GOOD = json_answer(completion(EngineReply('{"rating": 4, "explanation": "x"}', "stop")))
DIGITS = (0.1, 0.1, 0.2, 0.5, 0.1)


class Judged(NamedTuple):
    judgments: list[Judgment]
    learned: dict[str, Any]


def judge(endpoint: Endpoint, answer: Answering, one: Judge = JUDGE, *, num: int = 3, **config: Any) -> Judged:
    """Some pairs, one after the other, as a worker judges them."""
    endpoint.answer = answer

    async def judge_all() -> Judged:
        engine = HttpEngine(HttpEngineConfig(base_url=endpoint.url, model="m", **config))
        try:
            retry = RetryPolicy(first_wait_s=0.01)
            items = [Item("q", f"d{number}", "q1", f"d{number}") for number in range(num)]
            judgments = [await judge_pair(JudgeCall(one, item), engine, retry=retry) for item in items]
            return Judged(judgments, engine.learned)
        finally:
            await engine.close()

    return asyncio.run(judge_all())


def refusing(name: str, good: Answer = GOOD) -> Callable[[Received], Answer]:
    """An endpoint that takes no parameter of a name."""
    message = f"Unsupported parameter: '{name}' is not supported with this model."
    refusal = json_answer({"error": {"code": "unsupported_parameter", "param": name, "message": message}}, 400)
    return lambda received: refusal if name in received.body else good


def with_digits(*tokens: tuple[str, float]) -> Answer:
    logprobs = tuple((token, math.log(probability)) for token, probability in tokens)
    return json_answer(completion(EngineReply(tokens[0][0], "stop", first_token_logprobs=logprobs)))


def digits(mass: float) -> Answer:
    """Probabilities of the digits, with this much of the whole."""
    pairs = [(str(number), mass * share) for number, share in enumerate(DIGITS, 1)]
    return with_digits(*sorted(pairs, key=lambda pair: -pair[1]))


@pytest.mark.parametrize(
    ("name", "learned"),
    [
        ("max_tokens", {"token_limit": "max_completion_tokens"}),
        ("temperature", {"dropped": ["temperature"]}),
        ("seed", {"dropped": ["seed"]}),
    ],
)
def test_a_parameter_that_is_refused_costs_one_request(endpoint, name, learned):
    judged = judge(endpoint, refusing(name))
    assert [judgment.rating for judgment in judged.judgments] == [4, 4, 4]
    assert judged.learned == learned
    assert [name in received.body for received in endpoint.received] == [True, False, False, False]


def test_few_alternatives_of_a_token_are_enough_for_five_digits(endpoint):
    said = {"error": {"code": "invalid_value", "param": "top_logprobs", "message": "top_logprobs must be at most 5"}}
    few = lambda got: json_answer(said, 400) if got.body["top_logprobs"] > 5 else digits(1.0)  # noqa: E731
    judged = judge(endpoint, few, EXPECTED)
    assert [judgment.expected_rating for judgment in judged.judgments] == [pytest.approx(3.4)] * 3
    assert judged.learned == {"max_top_logprobs": 5}
    assert len(endpoint.received) == 4


def test_the_mass_on_the_digits_is_recorded(endpoint):
    judged = judge(endpoint, digits(0.97), EXPECTED)
    for judgment in judged.judgments:
        assert judgment.expected_rating == pytest.approx(sum(n * p for n, p in enumerate(DIGITS, 1)))
        assert (judgment.rating, judgment.digit_mass) == (3, pytest.approx(0.97))


def test_a_reply_that_begins_with_no_digit_is_no_rating(endpoint):
    """The digit 1 has one part in ten thousand: scaled to one it would be a rating that nobody gave."""
    judged = judge(endpoint, with_digits(("I", 0.99), ("The", 0.0099), ("1", 0.0001)), EXPECTED)
    for judgment in judged.judgments:
        assert (judgment.rating, judgment.expected_rating) == (None, None)
        assert (judgment.invalid_reason, judgment.digit_mass) == (InvalidReason.NO_DIGIT, pytest.approx(0.0001))


def test_a_judge_may_ask_for_less_mass(endpoint):
    judged = judge(endpoint, digits(0.3), EXPECTED.model_copy(update={"min_digit_mass": 0.2}), num=1)
    assert (judged.judgments[0].rating, judged.judgments[0].digit_mass) == (3, pytest.approx(0.3))


def nth(number: int, first: Answer, endpoint: Endpoint) -> Callable[[Received], Answer]:
    return lambda _: first if len(endpoint.received) == number else GOOD


def test_a_busy_endpoint_is_asked_again_when_it_said(endpoint):
    busy = Answer(json.dumps({"error": {"code": "rate_limit_exceeded"}}).encode(), 429, {"retry-after": "1"})
    judged = judge(endpoint, nth(2, busy, endpoint))
    assert [judgment.rating for judgment in judged.judgments] == [4, 4, 4]
    assert [judgment.latency_s >= 1.0 for judgment in judged.judgments] == [False, True, False]
    assert len(endpoint.received) == 4


def test_an_answer_that_trickles_is_given_up_and_asked_again(endpoint):
    judged = judge(endpoint, nth(2, GOOD._replace(byte_delay_s=0.2), endpoint), timeout_s=0.5)
    assert [judgment.rating for judgment in judged.judgments] == [4, 4, 4]
    assert len(endpoint.received) == 4


def test_an_endpoint_without_system_role_and_formats_is_judged_with_all_the_same(endpoint):
    def answer(received: Received) -> Answer:
        if "response_format" in received.body:
            return json_answer({"error": {"message": "This response_format type is unavailable now"}}, 400)
        if received.body["messages"][0]["role"] == "system":
            return json_answer({"message": "System role not supported", "object": "error"}, 400)
        return GOOD

    judged = judge(endpoint, answer, GUIDED)
    assert [judgment.rating for judgment in judged.judgments] == [4, 4, 4]
    assert judged.learned == {"dropped": ["response_format"], "folds_system": True}
    assert len(endpoint.received) == 5

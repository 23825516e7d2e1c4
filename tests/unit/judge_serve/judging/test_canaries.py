"""Canaries: what ships, how replies are read, and what is not answered."""

import asyncio

import pytest

from judge_serve.judging import EngineReply, RetryPolicy
from judge_serve.judging.canaries import NUM_CANARIES, CanaryAnswers, ask_canaries, canary_request, read_canary
from judge_serve.judging.canary_pairs import CANARY_PAIRS
from judge_serve.judging.content_key import digest_of
from judge_serve.judging.errors import ContentRefusedError, MisconfiguredError, ServerError
from tests.fakes import ScriptedEngine

ONCE = RetryPolicy(attempts=1)


def test_there_are_twenty_different_pairs():
    assert NUM_CANARIES == len(set(CANARY_PAIRS)) == 20


def test_requests_are_those_of_their_set():
    """Raise CANARY_SET with this digest: answers to other requests cannot be compared."""
    requests = [[list(canary_request(n).messages), canary_request(n).max_tokens] for n in range(NUM_CANARIES)]
    assert digest_of(requests)[:12] == "36269d94a3d9"


@pytest.mark.parametrize(
    ("reply", "reading"),
    [
        ('{"rating": 4}', "4"),
        ('{"rating": 4, "explanation": "x"}', "4"),
        ('```json\n{"rating": 2}\n```', '```json {"rating": 2} ``'),
        ("3", "3"),
        ("**5**", "5"),
        ("Rating: 1", "1"),
        ("<think>It may be a 2.</think>\n\n5", "5"),
        ("<think>It may be a 2, or", None),
        ("", None),
        (" \n", None),
        ("The document does not say anything of it.", "The document does not sa"),
        ("45", "45"),
        ("On a scale of 1 to 5, 3", "On a scale of 1 to 5, 3"),
    ],
)
def test_a_reply_is_read_as_its_rating_or_by_its_beginning(reply, reading):
    assert read_canary(reply) == reading


def ask(script, numbers=range(NUM_CANARIES)):
    return asyncio.run(ask_canaries(ScriptedEngine(script), ONCE, numbers))


def test_a_round_says_what_the_engine_shows_of_itself():
    found = ask(lambda _: EngineReply("4", "stop", model="m-2", system_fingerprint="fp"))
    assert (set(found.readings), found.reported, found.fingerprint, found.failure) == ({"4"}, "m-2", "fp", None)


@pytest.mark.parametrize("error", [ContentRefusedError("no"), ServerError("busy")])
def test_what_is_refused_or_fails_is_not_answered_and_ends_nothing(error):
    query = CANARY_PAIRS[0][0]
    found = ask(lambda request: error if query in request.messages[-1]["content"] else "5")
    assert found.readings[:2] == (None, None) and set(found.readings[2:]) == {"5"}
    assert found.failure is error


def test_a_wrong_key_is_told_at_once():
    with pytest.raises(MisconfiguredError, match="401"):
        ask(lambda _: MisconfiguredError("401"))


def test_some_are_asked_alone():
    assert [place for place, reading in enumerate(ask(lambda _: "1", [3, 7]).readings) if reading] == [3, 7]


def test_answers_survive_json():
    answers = CanaryAnswers(readings=("1", None, "so"), flips=1)
    assert CanaryAnswers.model_validate_json(answers.model_dump_json()) == answers
    assert answers.num_answered == 2

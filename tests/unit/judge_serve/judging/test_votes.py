"""Votes: how samples become one judgment, that each is a call of its own, and what cannot vote."""

import asyncio
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from judge_serve.judging import (
    AnswerMode,
    Combine,
    InvalidReason,
    Judge,
    JudgeCall,
    JudgeFile,
    RefusedInputError,
    Release,
    Sampling,
    Votes,
    judge_item,
)
from judge_serve.judging.errors import ServerError
from judge_serve.judging.retrying import RetryPolicy
from judge_serve.judging.votes import combine, sample_numbers
from tests.builders import JUDGE, SCALE, make_example, make_judgment
from tests.fakes import ScriptedEngine, json_reply

VOTING = Judge(
    program=JUDGE.program, model=JUDGE.model, sampling=Sampling(temperature=0.7, seed=10), votes=Votes(num_samples=3)
)
ITEM = make_example().item


def samples(*ratings):
    """One sample per rating; a reason is an invalid one."""
    return [
        make_judgment(None, reason=rating, raw_reply=f"reply {number}")
        if isinstance(rating, InvalidReason)
        else make_judgment(rating, explanation=f"why {number}", raw_reply=f"reply {number}")
        for number, rating in enumerate(ratings)
    ]


def of(how, *ratings):
    return combine(samples(*ratings), how, SCALE)


NO, CUT = InvalidReason.NOT_JSON, InvalidReason.TRUNCATED


# --- combining ---


@pytest.mark.parametrize(
    ("ratings", "mean", "rating"),
    [((2, 2, 5), 3.0, 3), ((4, 5), 4.5, 5), ((1,), 1.0, 1), ((2, NO, 4, NO), 3.0, 3), ((3, NO), 3.0, 3)],
)
def test_the_mean_is_fractional_and_the_rating_its_rounding(ratings, mean, rating):
    combined = of(Combine.MEAN, *ratings)
    assert (combined.expected_rating, combined.rating, combined.invalid_reason) == (mean, rating, None)


@pytest.mark.parametrize(
    ("ratings", "rating"),
    [
        ((2, 2, 5), 2),
        ((2, 4, 4, 2), 2),  # as near to the mean of 3: the lower one
        ((1, 1, 4, 4, 5), 4),  # the mean is 3
        ((1, 1, 2, 4, 4, 2), 2),  # the mean is 2.33
        ((5, NO, 5, 1), 5),
    ],
)
def test_the_majority_is_the_most_frequent_rating(ratings, rating):
    combined = of(Combine.MAJORITY, *ratings)
    assert (combined.rating, combined.expected_rating, combined.value) == (rating, None, rating)


@pytest.mark.parametrize("how", list(Combine))
@pytest.mark.parametrize(
    ("ratings", "reason"), [((NO,), NO), ((CUT, NO, NO, 4), NO), ((4, CUT, NO), CUT), ((NO, CUT, CUT), CUT)]
)
def test_fewer_than_half_readable_is_invalid_for_the_commonest_reason(how, ratings, reason):
    combined = of(how, *ratings)
    assert (combined.rating, combined.expected_rating, combined.invalid_reason) == (None, None, reason)
    assert combined.explanation is None


def test_the_explanation_is_of_the_first_sample_nearest_to_the_combined_rating():
    assert of(Combine.MEAN, 1, 4, 4).explanation == "why 1"
    assert of(Combine.MAJORITY, 5, 2, 2).raw_reply == "reply 1"
    assert of(Combine.MEAN, CUT, NO, NO).raw_reply == "reply 1"


def test_costs_are_those_of_all_samples():
    spent = [
        replace(sample, prompt_tokens=10, completion_tokens=n, latency_s=float(n), cached=n > 0, occurrence=n)
        for n, sample in enumerate(samples(1, 2, NO))
    ]
    combined = combine(spent, Combine.MEAN, SCALE, occurrence=4)
    assert (combined.prompt_tokens, combined.completion_tokens, combined.latency_s) == (30, 3, 2.0)
    assert (combined.cached, combined.occurrence) == (False, 4)


def test_nothing_cannot_be_combined():
    with pytest.raises(ValueError, match="no samples"):
        combine([], Combine.MEAN, SCALE)


@given(st.lists(st.sampled_from([1, 2, 3, 4, 5, NO, CUT]), min_size=1, max_size=9), st.sampled_from(list(Combine)))
def test_a_combined_judgment_is_valid_or_says_why_not(ratings, how):
    combined = of(how, *ratings)
    readable = [rating for rating in ratings if isinstance(rating, int) and not isinstance(rating, InvalidReason)]
    assert combined.is_valid == (2 * len(readable) >= len(ratings))
    assert combined.is_valid == (combined.invalid_reason is None)
    if combined.is_valid:
        assert min(readable) <= combined.value <= max(readable)
        assert combined.rating in SCALE.ratings


# --- asking ---


def test_each_sample_is_a_call_with_a_seed_of_its_own():
    engine = ScriptedEngine([json_reply(1), json_reply(2), json_reply(4)])
    judgment = asyncio.run(judge_item(JudgeCall(VOTING, ITEM), engine))
    assert [request.seed for request in engine.requests] == [10, 11, 12]
    assert (judgment.expected_rating, judgment.rating) == (pytest.approx(7 / 3), 2)
    assert (judgment.prompt_tokens, judgment.occurrence) == (30, 0)


def test_repeated_votes_share_no_sample():
    assert list(sample_numbers(VOTING.votes, 2)) == [6, 7, 8]
    assert list(sample_numbers(None, 2)) == [2]


def test_an_item_is_judged_once_without_votes():
    engine = ScriptedEngine([json_reply(2)])
    assert asyncio.run(judge_item(JudgeCall(JUDGE, ITEM), engine)).rating == 2


def test_an_engine_that_fails_one_sample_fails_as_one_call_does():
    engine = ScriptedEngine([json_reply(1), ServerError("down"), json_reply(4)])
    with pytest.raises(ServerError, match="down"):
        asyncio.run(judge_item(JudgeCall(VOTING, ITEM), engine, retry=RetryPolicy(attempts=1)))


# --- judges with votes ---


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"sampling": Sampling()}, "set sampling.temperature above 0"),
        ({"mode": AnswerMode.EXPECTED}, "mode 'expected' reads one greedy token"),
    ],
)
def test_a_judge_whose_samples_would_be_equal_cannot_vote(changes, message):
    with pytest.raises(ValueError, match=message):
        Judge.model_validate({**VOTING.model_dump(), **changes})


@pytest.mark.parametrize("count", [0, 1, 51])
def test_votes_are_two_to_fifty(count):
    with pytest.raises(ValueError, match="num_samples"):
        Votes(num_samples=count)


def test_votes_are_part_of_a_release_and_absent_where_there_are_none():
    release = Release(judge=VOTING)
    assert Release.from_json(release.to_json()) == release
    assert '"num_samples": 3' in release.to_json()
    assert "votes" not in Release(judge=JUDGE).to_json()
    assert release.digest != Release(judge=VOTING.model_copy(update={"votes": None})).digest


def test_a_judge_file_names_its_votes():
    content = {
        "program": {"sections": {"rubric": "Rate."}},
        "sampling": {"temperature": 0.5},
        "votes": {"num_samples": 5, "combine": "majority"},
    }
    judge = JudgeFile.model_validate(content).judge(JUDGE.model, AnswerMode.GUIDED)
    assert judge.votes == Votes(num_samples=5, combine=Combine.MAJORITY)
    with pytest.raises(RefusedInputError, match="judge file: votes need replies that differ"):
        JudgeFile.model_validate({**content, "sampling": {}}).judge(JUDGE.model, AnswerMode.GENERATE)

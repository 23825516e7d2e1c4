"""Whose fault it is: calls that alone are not answered, outages, and what every call gets; on a clock that is moved."""

import pytest

from judge_serve.judging import RetryPolicy
from judge_serve.judging.errors import (
    BadRequestError,
    EngineTimeoutError,
    MalformedAnswerError,
    MisconfiguredError,
    OutageError,
    RateLimitedError,
    ServerError,
    UnreachableError,
    WorkersFailedError,
)
from judge_serve.judging.judge_call import JudgeCall
from optimize_workers.evaluation.dispatch import CONTROL, MAX_FAILURES, Dispatcher
from optimize_workers.evaluation.waves import CallId, Wave
from tests.builders import JUDGE, make_examples
from tests.unit.optimize_workers.evaluation.dispatching import DOWN, Clock, arrivals, judge, open_wave

DIES = "its worker dies"
SLOTS, SPENT_S = 8, 3.0
FORBIDDEN = MisconfiguredError("answered 403", may_be_the_items=True)
OWN_FAILURES = [
    DOWN,
    ServerError("answered 500"),
    MalformedAnswerError("answered 200 with an error"),
    EngineTimeoutError("no answer in 300 s"),
    BadRequestError("answered 400"),
    FORBIDDEN,
    KeyError("our own bug"),
    DIES,
]


@pytest.fixture
def clock():
    return Clock()


def play(clock, waves, outcome, control=None, retry=None, most_s=3_600.0):
    """Dispatch until all waves have ended: `outcome` of each call but controls is None (judged), an error or DIES.

    Returns: judgments by call, errors by wave, seconds that it took.
    """
    retry = retry or RetryPolicy()
    dispatcher = Dispatcher(retry, clock)
    for wave in waves:
        dispatcher.open(wave)
    judged, errors, started = {}, {}, clock.now
    while dispatcher.waves:
        assert clock.now - started < most_s, "it comes to an end"
        sent_at, taken = dispatcher.num_judged, dispatcher.take(SLOTS)
        came = {id: control if id == CONTROL else outcome(id) for id in taken}
        clock.now += SPENT_S if taken else 0.1
        if DIES in came.values():
            dispatcher.lost(taken)
        else:
            good = [id for id, what in came.items() if what is None]
            if good:
                judge(dispatcher, good)
            for id in taken:
                if came[id] is not None:
                    dispatcher.failed(id, came[id], sent_at, SPENT_S)
        dispatcher.give_up_if_too_long()
        for wave in list(dispatcher.waves.values()):
            for arrived in arrivals(wave):
                for place, judgment in zip(arrived.places, arrived.judgments, strict=True):
                    assert CallId(wave.number, place) not in judged, "nothing is told twice"
                    judged[CallId(wave.number, place)] = judgment
                if arrived.error:
                    errors[wave.number] = arrived.error
            if wave.number in errors or sum(id.wave == wave.number for id in judged) == len(wave.calls):
                dispatcher.close(wave)
                dispatcher.lost([])
    return judged, errors, clock.now - started


def wave_of(size, number=1):
    return Wave(number, [JudgeCall(JUDGE, example.item) for example in make_examples(size)])


def causes_of(judged):
    return {id.place: judgment.cause for id, judgment in judged.items() if not judgment.is_judged}


@pytest.mark.parametrize("failure", OWN_FAILURES, ids=str)
@pytest.mark.parametrize("poisoned", [{0}, {29}, {3, 17, 18}])
def test_calls_that_alone_are_not_answered_are_not_judged_and_all_others_are(clock, failure, poisoned):
    wave = wave_of(30)
    judged, errors, took_s = play(clock, [wave], lambda id: failure if id.place in poisoned else None)
    assert errors == {}
    assert set(causes_of(judged)) == poisoned
    said = "workers died 4 times" if failure is DIES else str(failure)
    assert all(said in cause for cause in causes_of(judged).values())
    assert took_s < 180.0


@pytest.mark.parametrize("failure", OWN_FAILURES, ids=str)
def test_a_call_that_is_all_that_is_asked_is_not_judged_where_a_control_is(clock, failure):
    """As in a resumed run whose other judgments are recorded."""
    judged, errors, took_s = play(clock, [wave_of(1)], lambda id: failure)
    assert (errors, set(causes_of(judged))) == ({}, {0})
    assert took_s < 180.0


@pytest.mark.parametrize("failure", [one for one in OWN_FAILURES if isinstance(one, UnreachableError | ServerError)])
@pytest.mark.parametrize("size", [1, 30])
def test_where_nothing_is_answered_it_is_an_outage(clock, failure, size):
    judged, errors, took_s = play(clock, [wave_of(size)], lambda id: failure, control=failure)
    assert (judged, type(errors[1])) == ({}, OutageError)
    assert 600.0 <= took_s < 640.0


@pytest.mark.parametrize("failure", [BadRequestError("answered 400"), FORBIDDEN, KeyError("our own bug")], ids=str)
@pytest.mark.parametrize("size", [1, 30, 3_000])
def test_what_every_call_gets_and_no_retry_mends_ends_the_wave_at_once(clock, failure, size):
    judged, errors, took_s = play(clock, [wave_of(size)], lambda id: failure, control=failure)
    assert (judged, errors) == ({}, {1: failure})
    assert took_s < 10.0


@pytest.mark.parametrize("size", [1, 30])
def test_workers_that_die_of_every_call_end_the_wave(clock, size):
    judged, errors, took_s = play(clock, [wave_of(size)], lambda id: DIES, control=DIES)
    assert (judged, type(errors[1])) == ({}, WorkersFailedError)
    assert took_s < 30.0


def test_an_address_that_never_gave_a_completion_is_not_waited_for_as_an_outage(clock):
    page = MalformedAnswerError("answered 200 without JSON")
    _, errors, took_s = play(clock, [wave_of(30)], lambda id: page, control=page)
    assert "check the address and the model name" in str(errors[1])
    assert took_s < 60.0


def test_an_outage_in_the_middle_costs_no_call(clock):
    """Ten minutes less a little in which nothing is answered, however often the last calls are tried."""
    begins, ends = clock.now + 9.0, clock.now + 590.0
    wave = wave_of(40)
    dispatcher = Dispatcher(RetryPolicy(deadline_s=900.0), clock)
    dispatcher.open(wave)
    judged = {}
    while len(judged) < 40:
        sent_at, taken = dispatcher.num_judged, dispatcher.take(SLOTS)
        failure = DOWN if begins <= clock.now < ends else None
        clock.now += SPENT_S if taken else 0.1
        if failure is None:
            judge(dispatcher, taken)
        else:
            for id in taken:
                dispatcher.failed(id, failure, sent_at, SPENT_S)
        dispatcher.give_up_if_too_long()
        for arrived in arrivals(wave):
            assert arrived.error is None
            judged |= dict(zip(arrived.places, arrived.judgments, strict=True))
    assert all(judgment.is_valid for judgment in judged.values())


def test_one_deadline_holds_over_all_attempts(clock):
    """A call that takes as long as it may each time is tried for as long as one call may take, not five times that."""
    dispatcher = Dispatcher(RetryPolicy(deadline_s=900.0), clock)
    wave = open_wave(dispatcher, size=3)
    first, second, third = dispatcher.take(3)
    judge(dispatcher, [second])
    dispatcher.failed(first, EngineTimeoutError("slow"), 0, spent_s=700.0)
    assert dispatcher.left_s_of([first, third]) == {first: 200.0}
    judge(dispatcher, [third])
    dispatcher.failed(first, EngineTimeoutError("slow"), 1, spent_s=200.0)
    (cause,) = [j.cause for arrived in arrivals(wave) for j in arrived.judgments if not j.is_judged]
    assert "slow" in cause


def test_a_limit_of_requests_is_held_against_nobody(clock):
    dispatcher = Dispatcher(RetryPolicy(deadline_s=100.0), clock)
    wave = open_wave(dispatcher, size=60)
    limited = CallId(1, 0)
    for _ in range(5 * MAX_FAILURES):
        clock.now += 30.0
        sent_at, taken = dispatcher.num_judged, dispatcher.take(2)
        judge(dispatcher, [id for id in taken if id != limited])
        if limited in taken:
            dispatcher.failed(limited, RateLimitedError("busy"), sent_at, spent_s=1.0)
    assert all(judgment.is_judged for arrived in arrivals(wave) for judgment in arrived.judgments)


def limited_until(clock, ends_at, place=3):
    """One call of a wave meets a rate limit until then, as a request does that is larger than the limit for tokens."""
    return lambda id: RateLimitedError("too many tokens") if id.place == place and clock.now < ends_at else None


def test_a_call_that_alone_meets_a_limit_for_ever_is_not_judged_in_the_end(clock):
    judged, errors, took_s = play(clock, [wave_of(20)], limited_until(clock, float("inf")))
    assert (errors, len(judged), set(causes_of(judged))) == ({}, 20, {3})
    assert "too many tokens" in causes_of(judged)[3]
    assert 60.0 < took_s < 300.0


def test_a_limit_that_ends_after_a_minute_costs_no_judgment(clock):
    judged, errors, _ = play(clock, [wave_of(20)], limited_until(clock, clock.now + 60.0))
    assert (errors, len(judged), causes_of(judged)) == ({}, 20, {})

"""Dispatch: turns, retries, pauses and giving up, on a clock that the test moves."""

import pytest

from judge_serve.judging import RetryPolicy
from judge_serve.judging.errors import (
    BadRequestError,
    EngineTimeoutError,
    MalformedAnswerError,
    MisconfiguredError,
    NoTokenProbabilitiesError,
    OutageError,
    PromptTooLongError,
    QuotaExhaustedError,
    RateLimitedError,
    ServerError,
    UnreachableError,
    WorkersFailedError,
)
from judge_serve.judging.judge_call import JudgeCall
from optimize_workers.evaluation.dispatch import CONTROL, FIRST_PROBE_S, MAX_DEATHS, MAX_FAILURES, Dispatcher
from optimize_workers.evaluation.waves import CallId, WaitingCallers, Wave
from tests.builders import JUDGE, PROGRAM, make_examples, make_judgment

OTHER = JUDGE.model_copy(update={"program": PROGRAM.with_sections({"rubric": "Rate it well."})})
DOWN = UnreachableError("cannot reach the model")


class Clock:
    """Time that stands still until it is moved."""

    def __init__(self):
        self.now = 1_000.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def dispatcher(clock):
    return Dispatcher(RetryPolicy(max_outage_s=100.0, longest_wait_s=8.0), clock)


def open_wave(dispatcher, number=1, size=4, judges=(JUDGE,)):
    calls = [JudgeCall(judge, example.item) for example in make_examples(size) for judge in judges]
    wave = Wave(number, calls)
    dispatcher.open(wave)
    return wave


def fail(dispatcher, calls, error=DOWN):
    for call in calls:
        dispatcher.failed(call, error, judged_when_sent=dispatcher.num_judged)


def judge(dispatcher, calls):
    dispatcher.judged(calls, [make_judgment(3) for _ in calls])


def arrivals(wave):
    arrived = []
    while not wave.arrivals.empty():
        arrived.append(wave.arrivals.get())
    return arrived


def error_of(wave):
    (arrived,) = [one for one in arrivals(wave) if one.error]
    return arrived.error


# --- turns ---


def test_calls_of_one_judge_go_together(dispatcher):
    wave = open_wave(dispatcher, size=3, judges=(JUDGE, OTHER))
    taken = dispatcher.take(10)
    assert [wave.calls[call.place][0] for call in taken] == [JUDGE] * 3 + [OTHER] * 3


def test_waves_get_equal_parts(dispatcher):
    open_wave(dispatcher, 1, size=100)
    open_wave(dispatcher, 2, size=100)
    open_wave(dispatcher, 3, size=100)
    taken = dispatcher.take(30)
    assert [sum(call.wave == number for call in taken) for number in (1, 2, 3)] == [10, 10, 10]


def test_single_calls_go_round(dispatcher):
    open_wave(dispatcher, 1)
    open_wave(dispatcher, 2)
    assert [dispatcher.take(1)[0].wave for _ in range(6)] == [1, 2, 1, 2, 1, 2]


def test_what_a_small_wave_leaves_the_large_one_takes(dispatcher):
    open_wave(dispatcher, 1, size=2)
    open_wave(dispatcher, 2, size=100)
    taken = dispatcher.take(30)
    assert (len(taken), sum(call.wave == 1 for call in taken)) == (30, 2)


def test_a_closed_wave_is_not_carried_out(dispatcher):
    wave = open_wave(dispatcher)
    dispatcher.close(wave)
    assert (dispatcher.take(10), dispatcher.num_waiting) == ([], 0)


def test_judgments_of_a_closed_wave_are_ignored(dispatcher):
    wave = open_wave(dispatcher)
    taken = dispatcher.take(4)
    dispatcher.close(wave)
    judge(dispatcher, taken)
    assert (arrivals(wave), dispatcher.num_under_way) == ([], 0)


# --- failures of the engine ---


def test_after_a_failed_call_another_one_is_the_probe(dispatcher, clock):
    open_wave(dispatcher, size=2)
    fail(dispatcher, dispatcher.take(1))
    assert dispatcher.take(10) == []
    clock.now += FIRST_PROBE_S
    assert dispatcher.take(10) == [CallId(1, 1)]
    judge(dispatcher, [CallId(1, 1)])
    assert dispatcher.take(10) == [CallId(1, 0)]


def test_an_outage_sends_a_single_probe(dispatcher, clock):
    open_wave(dispatcher, size=10)
    fail(dispatcher, dispatcher.take(5))
    clock.now += FIRST_PROBE_S
    (probe,) = dispatcher.take(10)
    assert dispatcher.take(10) == []
    judge(dispatcher, [probe])
    assert len(dispatcher.take(10)) == 9


def test_pauses_double_up_to_the_longest_wait(dispatcher, clock):
    open_wave(dispatcher)
    pauses = []
    for _ in range(8):
        fail(dispatcher, dispatcher.take(1))
        pauses.append(dispatcher.wait_s())
        clock.now += 8.0
    bounds = [0.5, 1, 2, 4, 8, 8, 8, 8]
    assert all(bound / 2 <= pause <= bound for pause, bound in zip(pauses, bounds, strict=True))


def test_calls_that_fail_together_lengthen_the_pause_once(dispatcher):
    open_wave(dispatcher, size=50)
    fail(dispatcher, dispatcher.take(50))
    assert dispatcher.wait_s() <= FIRST_PROBE_S


def test_a_pause_is_as_long_as_the_engine_asks(dispatcher, clock):
    open_wave(dispatcher)
    fail(dispatcher, dispatcher.take(1), RateLimitedError("busy", retry_after_s=30.0))
    clock.now += 29.0
    assert dispatcher.take(1) == []
    clock.now += 1.0
    assert len(dispatcher.take(1)) == 1


def test_a_long_outage_ends_all_waves_with_its_reason(dispatcher, clock):
    waves = [open_wave(dispatcher, 1), open_wave(dispatcher, 2)]
    fail(dispatcher, dispatcher.take(1))
    clock.now += 99.0
    dispatcher.give_up_if_too_long()
    assert "no answer for 99 s (cannot reach the model)" in dispatcher.status()
    assert all(not arrivals(wave) for wave in waves)
    clock.now += 1.0
    dispatcher.give_up_if_too_long()
    errors = [error_of(wave) for wave in waves]
    assert [str(error) for error in errors] == ["no answer for 100 s: cannot reach the model"] * 2
    assert [type(error) for error in errors] == [OutageError] * 2


def test_an_answer_ends_the_outage(dispatcher, clock):
    open_wave(dispatcher)
    fail(dispatcher, dispatcher.take(1))
    clock.now += 99.0
    judge(dispatcher, dispatcher.take(1))
    clock.now += 50.0
    dispatcher.give_up_if_too_long()
    assert dispatcher.status() is None
    assert len(dispatcher.take(10)) == 3


def test_calls_that_fail_in_an_outage_are_not_blamed(dispatcher, clock):
    wave = open_wave(dispatcher, size=1)
    for _ in range(3 * MAX_FAILURES):
        fail(dispatcher, dispatcher.take(1))
        clock.now += 8.0
    assert arrivals(wave) == []


@pytest.mark.parametrize(
    "error",
    [
        MisconfiguredError("bad key"),
        QuotaExhaustedError("no credit"),
        NoTokenProbabilitiesError("none"),
        PromptTooLongError("9000 tokens"),
    ],
)
def test_an_error_that_no_item_is_to_blame_for_ends_the_wave_at_once(dispatcher, error):
    wave = open_wave(dispatcher)
    others = open_wave(dispatcher, 2)
    dispatcher.failed(CallId(1, 0), error, 0)
    assert error_of(wave) is error
    assert arrivals(others) == []


# --- deaths of workers ---


def test_workers_may_take_a_minute_to_come_back(clock):
    dispatcher = Dispatcher(RetryPolicy(max_outage_s=0.0), clock)
    wave = open_wave(dispatcher)
    dispatcher.note_workers(False)
    clock.now += 59.0
    dispatcher.note_workers(False)
    dispatcher.give_up_if_too_long()
    assert arrivals(wave) == []
    assert "no worker is running for 59 s" in dispatcher.status()
    clock.now += 1.0
    dispatcher.give_up_if_too_long()
    error = error_of(wave)
    assert isinstance(error, WorkersFailedError)
    assert "no worker is running for 60 s" in str(error)


def test_a_worker_that_came_back_ends_the_wait(dispatcher, clock):
    open_wave(dispatcher)
    dispatcher.note_workers(False)
    dispatcher.note_workers(True)
    clock.now += 1_000.0
    dispatcher.give_up_if_too_long()
    assert dispatcher.status() is None


def test_calls_of_a_dead_worker_go_last_and_in_order(dispatcher):
    open_wave(dispatcher, size=10)
    taken = dispatcher.take(4)
    dispatcher.lost(taken)
    assert dispatcher.num_under_way == 0
    assert dispatcher.take(10)[6:] == taken


def test_deaths_between_which_the_wave_goes_on_are_not_held_against_a_call(dispatcher):
    wave = open_wave(dispatcher, size=50)
    for _ in range(5 * MAX_DEATHS):
        one, unlucky = dispatcher.take(2)
        judge(dispatcher, [one])
        dispatcher.lost([unlucky])
    assert not any(arrived.error for arrived in arrivals(wave))


def test_calls_that_kill_workers_go_alone(dispatcher):
    open_wave(dispatcher, size=3)
    for _ in range(2):
        dispatcher.lost(dispatcher.take(3))
    assert dispatcher.take(3) == [CONTROL]
    judge(dispatcher, [CONTROL])
    assert [dispatcher.take(3), dispatcher.take(3)] == [[CallId(1, 0)], []]


# --- one call that is not answered ---

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


# --- who waits when the pool ends ---


def calls_of_a_wave():
    return [JudgeCall(JUDGE, example.item) for example in make_examples(2)]


def test_a_caller_ends_with_the_pool_though_its_wave_was_never_opened():
    callers = WaitingCallers()
    waves = [callers.enter(calls_of_a_wave()) for _ in range(2)]
    callers.end(KeyError("our own bug"))
    for wave in waves:
        assert isinstance(wave.arrivals.get_nowait().error, KeyError)


def test_an_ended_pool_takes_nobody_in_and_says_why():
    callers = WaitingCallers()
    callers.end(KeyError("our own bug"))
    callers.end(RuntimeError("the pool was closed"))
    with pytest.raises(RuntimeError, match=r"the pool is closed .*our own bug"):
        callers.enter(calls_of_a_wave())


def test_who_has_left_is_told_nothing():
    callers = WaitingCallers()
    wave = callers.enter(calls_of_a_wave())
    callers.leave(wave)
    callers.end(KeyError("our own bug"))
    assert wave.arrivals.empty()

"""Dispatch: turns, retries, pauses and giving up, on a clock that the test moves."""

import pytest

from judge_serve.judging import RetryPolicy
from judge_serve.judging.errors import (
    MisconfiguredError,
    NoTokenProbabilitiesError,
    OutageError,
    PromptTooLongError,
    QuotaExhaustedError,
    RateLimitedError,
    WorkersFailedError,
)
from judge_serve.judging.judge_call import JudgeCall
from optimize_workers.evaluation.dispatch import CONTROL, FIRST_PROBE_S, MAX_DEATHS, MAX_FAILURES, Dispatcher
from optimize_workers.evaluation.waves import CallId, WaitingCallers
from tests.builders import JUDGE, PROGRAM, make_examples
from tests.unit.optimize_workers.evaluation.dispatching import Clock, arrivals, error_of, fail, judge, open_wave

OTHER = JUDGE.model_copy(update={"program": PROGRAM.with_sections({"rubric": "Rate it well."})})


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def dispatcher(clock):
    return Dispatcher(RetryPolicy(max_outage_s=100.0, longest_wait_s=8.0), clock)


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

"""The simulated engine under load: latency, slots, utilization and outages, in virtual time where waits are long."""

import asyncio
import math
import statistics

import pytest

from benchmarks.outages import Outage, write_outage
from benchmarks.simulated_engine import SimulatedEngine, SimulatedEngineConfig
from judge_serve.judging import Item, RetryPolicy, judge_pair
from judge_serve.judging.errors import MisconfiguredError, OverloadedError, RateLimitedError, ServerError
from judge_serve.judging.judge_call import JudgeCall, build_request
from tests.builders import JUDGE
from tests.virtual_time import run_in_virtual_time


def request_of(number):
    return build_request(JudgeCall(JUDGE, Item(f"query {number}", f"document {number}", f"q{number}", f"d{number}")))


# --- latency, slots, utilization ---


def timed(config, count):
    """Seconds from sending to reply of requests sent together, in virtual time; the engine; the most busy at once."""

    async def ask_all():
        loop = asyncio.get_running_loop()
        engine = SimulatedEngine(config, clock=loop.time)
        most = 0

        async def ask(number):
            nonlocal most
            started = loop.time()
            task = asyncio.ensure_future(engine.complete(request_of(number)))
            while not task.done():
                most = max(most, engine.busy)
                await asyncio.wait([task], timeout=config.latency_median_s / 2)
            return loop.time() - started

        taken = await asyncio.gather(*(ask(number) for number in range(count)))
        return taken, engine, most

    return run_in_virtual_time(ask_all())


def test_latency_has_its_median_and_spread():
    taken, _, _ = timed(SimulatedEngineConfig(latency_median_s=0.4, latency_sigma=0.5), 2_000)
    logs = [math.log(seconds) for seconds in taken]
    assert statistics.median(taken) == pytest.approx(0.4, rel=0.05)
    assert statistics.stdev(logs) == pytest.approx(0.5, rel=0.06)


def test_latency_without_spread_is_the_median():
    taken, _, _ = timed(SimulatedEngineConfig(latency_median_s=0.4), 10)
    assert taken == pytest.approx([0.4] * 10)


def test_slots_bound_how_many_are_served_and_others_wait_in_line():
    taken, engine, most = timed(SimulatedEngineConfig(latency_median_s=0.5, slots=4), 10)
    assert most == 4
    assert taken == pytest.approx([0.5] * 4 + [1.0] * 4 + [1.5] * 2)
    assert engine.busy_slot_s() == pytest.approx(5.0)


def test_without_slots_all_are_served_at_once():
    _, _, most = timed(SimulatedEngineConfig(latency_median_s=0.5), 50)
    assert most == 50


def test_utilization_says_how_many_slots_were_busy_each_second():
    _, engine, _ = timed(SimulatedEngineConfig(latency_median_s=1.0, slots=2), 3)  # two for a second, then one
    assert [tuple(second) for second in engine.utilization()] == [
        (1000, pytest.approx(2.0)),
        (1001, pytest.approx(1.0)),
    ]


def test_a_call_given_up_frees_its_slot():
    async def give_up():
        loop = asyncio.get_running_loop()
        engine = SimulatedEngine(SimulatedEngineConfig(latency_median_s=10.0, slots=1), clock=loop.time)
        for _ in range(3):
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(engine.complete(request_of(1)), timeout=1.0)
        return engine.busy, engine.busy_slot_s(), engine.served

    assert run_in_virtual_time(give_up()) == (0, pytest.approx(3.0), 0)


def test_an_engine_outlives_its_event_loop():
    engine = SimulatedEngine(SimulatedEngineConfig(latency_median_s=0.001, slots=1))

    async def ask_two():
        await asyncio.gather(engine.complete(request_of(1)), engine.complete(request_of(2)))

    for _ in range(3):
        asyncio.run(ask_two())
    assert (engine.served, engine.busy) == (6, 0)


def test_without_latency_nothing_is_awaited():
    coroutine = SimulatedEngine(SimulatedEngineConfig(slots=1)).complete(request_of(1))
    with pytest.raises(StopIteration):
        coroutine.send(None)


# --- outages ---


def ask_once(engine):
    return asyncio.run(engine.complete(request_of(1)))


def test_calls_served_and_failed_are_counted():
    engine = SimulatedEngine(SimulatedEngineConfig())
    engine.fail_next(2)
    for _ in range(2):
        with pytest.raises(OverloadedError):
            ask_once(engine)
    ask_once(engine)
    assert (engine.served, engine.failed) == (1, 2)


@pytest.mark.parametrize(
    ("status", "kind"),
    [(503, OverloadedError), (429, RateLimitedError), (401, MisconfiguredError), (500, ServerError)],
)
def test_an_outage_is_the_error_of_an_endpoint_with_that_status(status, kind):
    engine = SimulatedEngine(SimulatedEngineConfig(model="m"))
    engine.fail_next(1, status)
    with pytest.raises(kind, match=f"simulated engine 'm' answered {status}: simulated outage"):
        ask_once(engine)


def test_an_outage_says_how_long_to_wait():
    engine = SimulatedEngine(SimulatedEngineConfig())
    engine.fail_next(1, 429, retry_after_s=2.5)
    with pytest.raises(RateLimitedError) as caught:
        ask_once(engine)
    assert caught.value.retry_after_s == 2.5


def test_an_outage_ends_after_its_seconds():
    now = [100.0]
    engine = SimulatedEngine(SimulatedEngineConfig(), clock=lambda: now[0])
    engine.fail_for(5.0)
    now[0] = 104.9
    with pytest.raises(OverloadedError):
        ask_once(engine)
    now[0] = 105.0
    assert ask_once(engine).text


def test_recovery_ends_what_was_commanded():
    engine = SimulatedEngine(SimulatedEngineConfig())
    engine.fail_for(1_000.0)
    engine.fail_next(5)
    engine.recover()
    assert ask_once(engine).text


def test_requests_in_a_slot_and_in_line_meet_an_outage_too():
    async def struck():
        loop = asyncio.get_running_loop()
        engine = SimulatedEngine(SimulatedEngineConfig(latency_median_s=10.0, slots=1), clock=loop.time)
        asked = [asyncio.ensure_future(engine.complete(request_of(number))) for number in range(3)]
        await asyncio.sleep(8.0)
        engine.fail_for(5.0)
        outcomes = await asyncio.gather(*asked, return_exceptions=True)
        return [type(outcome) for outcome in outcomes], loop.time() - 1_000.0

    assert run_in_virtual_time(struck()) == ([OverloadedError] * 3, 10.0)


def test_requests_in_line_outlast_a_short_outage():
    async def struck():
        loop = asyncio.get_running_loop()
        engine = SimulatedEngine(SimulatedEngineConfig(latency_median_s=10.0, slots=1), clock=loop.time)
        asked = [asyncio.ensure_future(engine.complete(request_of(number))) for number in range(2)]
        await asyncio.sleep(1.0)
        engine.fail_for(5.0)
        return [reply.prompt_tokens > 0 for reply in await asyncio.gather(*asked)]

    assert run_in_virtual_time(struck()) == [True, True]


def test_an_outage_file_fails_every_request_while_it_exists(tmp_path):
    file = tmp_path / "outage.json"
    engine = SimulatedEngine(SimulatedEngineConfig(outage_file=file))
    assert ask_once(engine).text
    write_outage(file, Outage(status=429, retry_after_s=1.5))
    for _ in range(2):
        with pytest.raises(RateLimitedError, match="answered 429") as caught:
            ask_once(engine)
        assert caught.value.retry_after_s == 1.5
    file.unlink()
    assert ask_once(engine).text


def test_a_judge_call_outlasts_a_few_failures():
    async def judge():
        engine = SimulatedEngine(SimulatedEngineConfig())
        engine.fail_next(2, 429, retry_after_s=30.0)
        started = asyncio.get_running_loop().time()
        judgment = await judge_pair(
            JudgeCall(JUDGE, Item("q", "gold:4", "q", "d")), engine, retry=RetryPolicy(attempts=3, longest_wait_s=50.0)
        )
        return judgment.rating, asyncio.get_running_loop().time() - started

    rating, taken_s = run_in_virtual_time(judge())
    assert rating == 4
    assert taken_s >= 60.0

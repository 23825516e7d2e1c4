"""Calls under way at an endpoint: as many as it bears, in virtual time, with the worker that the pool runs."""

from __future__ import annotations

import asyncio
import random
from collections import deque
from typing import NamedTuple

import pytest

from judge_serve.judging import EngineReply, EngineRequest, Item, JudgeCall, Judgment, RetryPolicy
from judge_serve.judging.errors import EngineTimeoutError, OverloadedError, RateLimitedError, TransientError
from optimize_workers.evaluation.dispatch import CallId
from optimize_workers.evaluation.pacing import Pace
from optimize_workers.evaluation.workers import JudgeWorker
from tests.builders import JUDGE
from tests.fakes import json_reply
from tests.virtual_time import run_in_virtual_time

Worker = JudgeWorker.__ray_metadata__.modified_class  # the class under Ray's actor


class LimitedEndpoint:
    """Bears `bears` calls at once and refuses more; those beyond `works_on` wait for a place."""

    model = "limited"

    def __init__(self, bears=10_000, latency_s=1.0, *, works_on=10_000, asks_s=0.0, refusal=RateLimitedError):
        self.bears, self.latency_s, self.asks_s, self.refusal = bears, latency_s, asks_s, refusal
        self.places = asyncio.Semaphore(works_on)
        self.open = self.most_open = self.refused = self.answered = 0
        self.random = random.Random(7)

    async def complete(self, _request: EngineRequest) -> EngineReply:
        await asyncio.sleep(0.01)
        if self.open >= self.bears:
            self.refused += 1
            raise self.refusal("slow down", retry_after_s=self.asks_s)
        self.open += 1
        self.most_open = max(self.most_open, self.open)
        async with self.places:
            await asyncio.sleep(self.latency_s * self.random.uniform(0.6, 1.4))
        self.open -= 1
        self.answered += 1
        return EngineReply(json_reply(3), "stop")

    async def close(self) -> None: ...


class Seen(NamedTuple):
    seconds: float
    failed: int
    limit: int


def judge_all(make, num_calls, *, most=64, least=4, num_workers=1, retry=RetryPolicy(), is_pool=False):  # noqa: B008
    """All calls by workers at one endpoint; what was seen, and the endpoint. A pool sends what failed again."""

    async def run():
        loop = asyncio.get_running_loop()
        endpoint, began = make(), loop.time()
        workers = [Worker(lambda: endpoint, retry, 1, 1) for _ in range(num_workers)]
        for worker in workers:
            worker._pace = Pace(max(1, least // num_workers), most // num_workers, loop.time)
        waiting = deque(CallId(1, number) for number in range(num_calls))
        failed = 0

        def feed(worker):
            while waiting and len(worker._waiting) < 64:
                id = waiting.popleft()
                worker._waiting.append((id, JudgeCall(JUDGE, Item("q", f"d{id.place}", "q", f"d{id.place}"))))
            worker._fill_slots()

        while waiting or any(worker._waiting or worker._busy for worker in workers):
            for worker in workers:
                unanswered = [id for id, outcome in worker._finished if not isinstance(outcome, Judgment)]
                if is_pool:
                    waiting.extend(unanswered)
                else:
                    failed += len(unanswered)
                worker._finished.clear()
                feed(worker)
            await asyncio.sleep(0.05)
        return Seen(loop.time() - began, failed, sum(worker._pace.limit for worker in workers)), endpoint

    return run_in_virtual_time(run())


@pytest.mark.parametrize("num_workers", [1, 2])
@pytest.mark.parametrize("bears", [4, 6, 10, 20, 40])
def test_an_endpoint_that_limits_calls_at_once_refuses_few_is_kept_busy_and_answers_each_once(bears, num_workers):
    seen, endpoint = judge_all(lambda: LimitedEndpoint(bears), 1_500, num_workers=num_workers, is_pool=True)
    assert endpoint.answered == 1_500
    assert endpoint.refused <= 0.06 * 1_500
    assert seen.seconds <= 1.6 * 1_500 / bears + 5


def test_without_a_pace_the_same_endpoint_is_hammered():
    seen, endpoint = judge_all(lambda: LimitedEndpoint(6), 1_500, least=64)
    assert endpoint.refused > 1_500
    assert seen.failed > 500


@pytest.mark.parametrize("latency_s", [0.2, 5.0, 60.0])
def test_a_healthy_endpoint_is_filled_however_slow_it_is(latency_s):
    seen, endpoint = judge_all(lambda: LimitedEndpoint(latency_s=latency_s), 2_000)
    assert (seen.failed, endpoint.refused, endpoint.most_open) == (0, 0, 64)
    assert seen.seconds <= 1.35 * 2_000 / 64 * latency_s + 5 * latency_s


def test_more_calls_than_an_endpoint_works_on_bring_nothing_and_are_taken_back():
    seen, _ = judge_all(lambda: LimitedEndpoint(works_on=8), 2_000)
    assert seen.failed == 0
    assert seen.limit < 40
    assert seen.seconds <= 1.1 * 2_000 / 8


@pytest.mark.parametrize("error", [RateLimitedError, OverloadedError, EngineTimeoutError])
def test_what_says_that_there_is_too_much_to_do_takes_calls_away_once_a_round(error):
    async def run():
        clock = asyncio.get_running_loop().time
        pace = Pace(2, 64, clock)
        sent = [await pace.enter() for _ in range(pace.limit)]
        await asyncio.sleep(1.0)
        before = pace.limit
        for one in sent:  # they fail together
            pace.refused(one)
            pace.leave()
        return before, pace.limit

    before, after = run_in_virtual_time(run())
    assert (before, after) == (4, 2)
    assert issubclass(error, TransientError)


def test_it_never_falls_below_the_least_nor_rises_above_the_most():
    async def run(least, most, refusals):
        clock = asyncio.get_running_loop().time
        pace = Pace(least, most, clock)
        limits = []
        for number in range(600):
            sent = [await pace.enter() for _ in range(pace.limit)]
            await asyncio.sleep(1.0)
            for one in sent:
                pace.refused(one) if number < refusals else pace.answered()
                pace.leave()
            limits.append(pace.limit)
        return limits

    limits = run_in_virtual_time(run(4, 64, 20))
    assert (min(limits), max(limits), limits[-1]) == (4, 64, 64)
    assert run_in_virtual_time(run(1, 1, 3))[-1] == 1


def test_a_wait_that_the_endpoint_asks_for_is_kept_by_all_calls():
    async def run():
        loop = asyncio.get_running_loop()
        pace = Pace(4, 64, loop.time)
        began = loop.time()
        pace.refused(await pace.enter(), asked_s=3.0)
        pace.leave()
        await asyncio.gather(*(pace.enter() for _ in range(3)))
        return loop.time() - began

    assert run_in_virtual_time(run()) == pytest.approx(3.0)


def test_a_call_that_nobody_waits_for_frees_its_place():
    async def run():
        pace = Pace(1, 1)
        await pace.enter()
        second = asyncio.ensure_future(pace.enter())
        await asyncio.sleep(0)
        second.cancel()
        pace.answered()
        pace.leave()
        await asyncio.wait_for(pace.enter(), 1.0)

    run_in_virtual_time(run())

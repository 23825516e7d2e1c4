"""What pytest-benchmark times for `benchmarks.judging_work`: rendering, reading, keys and one whole judge call."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from benchmarks.evaluation_plane import ENGINE, JUDGE, make_examples
from benchmarks.simulated_engine import SimulatedEngine
from judge_serve.judging import judge_pair
from judge_serve.judging.judge_call import JudgeCall, build_request, call_key, judge_key
from judge_serve.judging.parsing import parse_reply, read_expected

Benchmark = Callable[..., Any]
(EXAMPLE,) = make_examples(1)
SCALE = JUDGE.task.scale
REPLY = '{"rating": 4, "explanation": "The document names what the query asks for."}'
PROSE = "I think that this document is quite relevant, because it answers the query. " * 5


def test_render(benchmark: Benchmark) -> None:
    """A request of about 400 tokens from judge and item."""
    request = benchmark(build_request, JudgeCall(JUDGE, EXAMPLE.item))
    assert request.messages[-1]["content"].startswith("<query>")


def test_parse(benchmark: Benchmark) -> None:
    """A well-formed reply."""
    assert benchmark(parse_reply, REPLY, "stop", SCALE).rating == 4


def test_parse_prose(benchmark: Benchmark) -> None:
    """An unreadable reply, which is looked through for the reason."""
    assert benchmark(parse_reply, PROSE, "stop", SCALE).invalid_reason is not None


def test_read_expected(benchmark: Benchmark) -> None:
    """Twenty token probabilities."""
    logprobs = [(str(n), -0.5 * n) for n in range(20)]
    assert benchmark(read_expected, logprobs, SCALE).rating is not None


def test_call_key(benchmark: Benchmark) -> None:
    """The content key of one judge call."""
    assert len(benchmark(call_key, judge_key(JUDGE), EXAMPLE.item, 0)) == 32


def test_judge_pair(benchmark: Benchmark) -> None:
    """One judge call on the simulated engine, whose own 7 microseconds are part of it."""
    engine = SimulatedEngine(ENGINE)

    def judge_hundred() -> None:
        async def judge_all() -> None:
            for _ in range(100):
                await judge_pair(JudgeCall(JUDGE, EXAMPLE.item), engine)

        loop.run_until_complete(judge_all())

    loop = asyncio.new_event_loop()
    benchmark(judge_hundred)
    loop.close()
    assert engine.served >= 100


if __name__ == "__main__":
    pytest.main([__file__])

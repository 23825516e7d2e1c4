"""Workers: Ray actors that hold an engine and judge examples; the pool that keeps them busy and in order."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any

import ray
from ray.exceptions import RayActorError, RayTaskError

from judge_serve.judging.engine import Engine
from judge_serve.judging.errors import EngineError
from judge_serve.judging.judge import Judge, RetryPolicy, judge_pair
from judge_serve.judging.judgment import Judgment
from judge_serve.judging.task import Item

logger = logging.getLogger(__name__)

CHUNK_CALLS = 4  # judge calls of one actor call
HEARTBEAT_S = 5.0  # silence after which progress is shown all the same
MAX_RESENDS = 3  # times a chunk is sent again after its worker died
Chunk = list[tuple[Item, int]]


@ray.remote(num_cpus=0.1, max_restarts=-1, max_concurrency=64)
class JudgeWorker:
    """Judges chunks of items with the engine that `connect` makes on this process."""

    def __init__(self, connect: Callable[[], Engine], retry: RetryPolicy) -> None:
        self._connect = connect
        self._retry = retry
        self._engine: Engine | None = None

    async def judge(self, judge: Judge, chunk: Chunk) -> list[Judgment]:
        """Judgments in the order of the chunk's (item, occurrence) pairs."""
        if self._engine is None:
            self._engine = self._connect()
        engine = self._engine
        calls = [judge_pair(judge, item, engine, occurrence=n, retry=self._retry) for item, n in chunk]
        return list(await asyncio.gather(*calls))


class WorkerPool:
    """A fixed number of workers of one engine, with at most `max_calls_in_flight` judge calls under way."""

    def __init__(
        self,
        connect: Callable[[], Engine],
        *,
        num_workers: int = 2,
        max_calls_in_flight: int = 32,
        retry: RetryPolicy | None = None,
    ) -> None:
        self._workers = [JudgeWorker.remote(connect, retry or RetryPolicy()) for _ in range(num_workers)]  # type: ignore[attr-defined]
        self._max_chunks = max(1, max_calls_in_flight // CHUNK_CALLS)

    def judge(
        self, calls: Sequence[tuple[Judge, Item, int]], on_done: Callable[[Sequence[Judgment]], None] | None = None
    ) -> list[Judgment]:
        """Judge (judge, item, occurrence) calls; answers in the order of the calls.

        Args:
            calls: calls of one judge are sent together, so that the engine's prefix cache works.
            on_done: receives judgments as they arrive, none of them every few seconds while nothing does.

        Raises:
            EngineError: an engine gave up on a call; what is under way is cancelled, nothing is scored.
        """
        waiting = deque(_chunks(calls))
        judgments: list[Judgment | None] = [None] * len(calls)
        under_way: dict[Any, tuple[int, int, Judge, Chunk, int]] = {}
        load = [0] * len(self._workers)
        try:
            while waiting or under_way:
                while waiting and len(under_way) < self._max_chunks:
                    start, judge, chunk, resends = waiting.popleft()
                    worker = load.index(min(load))
                    load[worker] += 1
                    ref = self._workers[worker].judge.remote(judge, chunk)
                    under_way[ref] = (worker, start, judge, chunk, resends)
                ready, _ = ray.wait(list(under_way), num_returns=1, timeout=HEARTBEAT_S)
                if not ready:
                    if on_done:
                        on_done(())
                    continue
                ref = ready[0]
                worker, start, judge, chunk, resends = under_way.pop(ref)
                load[worker] -= 1
                try:
                    done = ray.get(ref)
                except RayActorError as error:
                    if resends >= MAX_RESENDS:
                        raise EngineError(f"workers died {resends + 1} times on the same judge calls") from error
                    logger.warning("worker died, sending its calls again calls=%d", len(chunk))
                    waiting.appendleft((start, judge, chunk, resends + 1))
                    continue
                except RayTaskError as error:
                    if isinstance(error.cause, EngineError):
                        raise error.cause from None
                    raise
                judgments[start : start + len(chunk)] = done
                if on_done:
                    on_done(done)
        finally:
            for ref in under_way:
                ray.cancel(ref, force=False)
        return [judgment for judgment in judgments if judgment is not None]

    def close(self) -> None:
        """Stop the workers."""
        for worker in self._workers:
            ray.kill(worker)


def _chunks(calls: Sequence[tuple[Judge, Item, int]]) -> list[tuple[int, Judge, Chunk, int]]:
    chunks: list[tuple[int, Judge, Chunk, int]] = []
    start = 0
    while start < len(calls):
        judge = calls[start][0]
        end = start
        while end < len(calls) and end - start < CHUNK_CALLS and calls[end][0] is judge:
            end += 1
        chunks.append((start, judge, [(item, n) for _, item, n in calls[start:end]], 0))
        start = end
    return chunks

"""Asking a model from this process: its canaries, and what an endpoint says of itself, before workers are started."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Coroutine, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

from cluster.endpoint.models import ModelChoice, connector
from judge_serve.engines.http import HttpEngine
from judge_serve.judging.canaries import NUM_CANARIES, Round, ask_canaries
from judge_serve.judging.engine import Engine
from judge_serve.judging.errors import OutageError, TransientError, UnreachableError
from judge_serve.judging.retrying import RetryPolicy

_PAUSE_S = 1.0  # after a round that nothing was answered of; doubles


class Asking(NamedTuple):
    """An engine of a model, and what runs it."""

    engine: Engine
    run: Callable[[Coroutine[Any, Any, Any]], Any]

    def canaries(self, numbers: Sequence[int] = range(NUM_CANARIES)) -> Round:
        """One answer to each of these canaries; raises FatalError."""
        answered: Round = self.run(ask_canaries(self.engine, RetryPolicy(), numbers))
        return answered


@contextmanager
def asking(choice: ModelChoice) -> Iterator[Asking]:
    """A connection to a model from this process; one that is served here has to be started already."""
    with asyncio.Runner() as runner:
        engine = connector(choice)()
        try:
            yield Asking(engine, runner.run)
        finally:
            runner.run(engine.close())


def ask_patiently(asked: Asking, on_wait: Callable[[str], None], sleep: Callable[[float], None] = time.sleep) -> Round:
    """One answer to each canary; where nothing at all is answered, an outage is waited out as while judging."""
    limit_s, started, pause_s = RetryPolicy().max_outage_s, time.monotonic(), _PAUSE_S
    while True:
        answered = asked.canaries()
        failure = answered.failure
        if any(reading is not None for reading in answered.readings) or not isinstance(failure, TransientError):
            return answered
        lasted_s = time.monotonic() - started
        if isinstance(failure, UnreachableError):
            raise failure
        if lasted_s >= limit_s:
            raise OutageError(f"no answer for {lasted_s:.0f} s: {failure}") from failure
        on_wait(f"paused: no canary is answered for {lasted_s:.0f} s ({failure})")
        sleep(min(max(pause_s, failure.retry_after_s), limit_s))
        pause_s = min(2 * pause_s, RetryPolicy().longest_wait_s)


async def described(engine: Engine, base_url: str, model: str) -> tuple[str | None, int | None]:
    """The version of vLLM and the context length, as far as an endpoint says them."""
    if not isinstance(engine, HttpEngine):
        return None, None
    listed = await engine.look_up("models")
    root = base_url.rstrip("/").removesuffix("/v1")
    said = await engine.look_up(f"{root}/version")
    number = said.get("version") if isinstance(said, dict) else None
    return (number if isinstance(number, str) else None), _length_in(listed, model)


def _length_in(listed: Any, model: str) -> int | None:
    entries = listed.get("data") if isinstance(listed, dict) else None
    for entry in entries if isinstance(entries, list) else []:
        if isinstance(entry, dict) and entry.get("id") == model:
            length = entry.get("max_model_len")
            return length if isinstance(length, int) and not isinstance(length, bool) and length > 0 else None
    return None

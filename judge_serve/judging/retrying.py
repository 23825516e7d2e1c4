"""Retrying: how long a failing engine is waited for, and sending one request again as that allows."""

from __future__ import annotations

import asyncio
import random

from pydantic import BaseModel, ConfigDict, Field

from judge_serve.judging.engine import Engine, EngineReply, EngineRequest
from judge_serve.judging.errors import EngineTimeoutError, TransientError


class RetryPolicy(BaseModel):
    """Patience with a failing engine.

    Attributes:
        attempts: sends of one request before its error is raised.
        first_wait_s: bound of the first wait between two of them, drawn evenly; each further wait doubles it.
        longest_wait_s: bound of a wait; an engine that asks for a longer one raises at once.
        deadline_s: how long all attempts may take together, their waits included.
        max_outage_s: how long a pool, which pauses when nothing is answered at all, goes on probing.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    attempts: int = Field(5, ge=1)
    first_wait_s: float = Field(0.2, ge=0.0)
    longest_wait_s: float = Field(20.0, ge=0.0)
    deadline_s: float = Field(900.0, gt=0.0)
    max_outage_s: float = Field(600.0, ge=0.0)


async def complete_with_retry(engine: Engine, request: EngineRequest, retry: RetryPolicy) -> EngineReply:
    """Send a request, again after transient failures, waiting as long as the engine asks (within bounds).

    Raises:
        EngineTimeoutError: the deadline came, or would have come in the next wait; it names the last failure.
        EngineError: of the last attempt; any that is not transient after the first.
    """
    clock = asyncio.get_running_loop().time
    ends_at = clock() + retry.deadline_s
    last: TransientError | None = None
    for number in range(retry.attempts):
        if last is not None:
            # jitter on top of what is asked for: those who were told the same time come apart
            wait_s = last.retry_after_s + random.uniform(0.0, _longest_jitter_s(retry, number))
            if clock() + wait_s >= ends_at:
                raise _too_late(retry, last) from last
            await asyncio.sleep(wait_s)
        try:
            async with asyncio.timeout_at(ends_at):
                return await engine.complete(request)
        except TimeoutError as error:
            raise _too_late(retry, last) from error
        except TransientError as error:
            if error.retry_after_s > retry.longest_wait_s:
                raise
            last = error
    assert last is not None
    raise last


def _longest_jitter_s(retry: RetryPolicy, number: int) -> float:
    """Bound of the wait before the attempt of a number, counted from 0."""
    return min(retry.longest_wait_s, retry.first_wait_s * 2.0 ** (number - 1))


def _too_late(retry: RetryPolicy, last: TransientError | None) -> EngineTimeoutError:
    """The error of a call whose time is over."""
    if last is None:
        return EngineTimeoutError(f"no answer in the {retry.deadline_s:g} s that a call may take")
    said = f"{last}; gave up after the {retry.deadline_s:g} s that a call may take"
    return EngineTimeoutError(said, retry_after_s=last.retry_after_s)

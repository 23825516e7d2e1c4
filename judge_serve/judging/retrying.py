"""Retrying: how long a failing engine is waited for, and sending one request again as that allows."""

from __future__ import annotations

import asyncio
import random

from pydantic import BaseModel, ConfigDict, Field
from tenacity import AsyncRetrying, RetryCallState, retry_if_exception, stop_after_attempt, wait_random_exponential

from judge_serve.judging.engine import Engine, EngineReply, EngineRequest
from judge_serve.judging.errors import TransientError


class RetryPolicy(BaseModel):
    """Patience with a failing engine.

    Attributes:
        attempts: sends of one request before its error is raised.
        first_wait_s: mean scale of the first wait between two of them; each further wait doubles it.
        longest_wait_s: bound of a wait; an engine that asks for a longer one raises at once.
        max_outage_s: how long a pool, which pauses when nothing is answered at all, goes on probing.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    attempts: int = Field(5, ge=1)
    first_wait_s: float = Field(0.2, ge=0.0)
    longest_wait_s: float = Field(20.0, ge=0.0)
    max_outage_s: float = Field(600.0, ge=0.0)


async def complete_with_retry(engine: Engine, request: EngineRequest, retry: RetryPolicy) -> EngineReply:
    """Send a request, again after transient failures, waiting as long as the engine asks (within bounds).

    Raises: EngineError, of the last attempt; any that is not transient after the first.
    """
    try:
        return await engine.complete(request)  # nearly every call ends here; tenacity alone would cost 60 us
    except TransientError as error:
        if retry.attempts == 1 or not _is_worth_a_retry(error, retry):
            raise
        await asyncio.sleep(error.retry_after_s + random.uniform(0.0, retry.first_wait_s))
    backoff = wait_random_exponential(multiplier=2 * retry.first_wait_s, max=retry.longest_wait_s)

    def wait_s(state: RetryCallState) -> float:
        error = state.outcome.exception() if state.outcome else None
        asked_s = error.retry_after_s if isinstance(error, TransientError) else 0.0
        return asked_s + backoff(state)  # jitter on top: those who were told the same time come apart

    attempts = AsyncRetrying(
        retry=retry_if_exception(lambda error: _is_worth_a_retry(error, retry)),
        stop=stop_after_attempt(retry.attempts - 1),
        wait=wait_s,
        reraise=True,
    )
    return await attempts(engine.complete, request)


def _is_worth_a_retry(error: BaseException, retry: RetryPolicy) -> bool:
    return isinstance(error, TransientError) and error.retry_after_s <= retry.longest_wait_s

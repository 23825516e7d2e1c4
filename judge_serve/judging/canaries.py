"""Canaries: twenty pairs that ship with the product, asked in one fixed form to see whether a model answers as before.

What a model answered is kept as *readings*: the rating where one can be read, else the beginning of the reply. They are
compared, never scored; `optimize_workers.statistics.agreement` says what a difference means.
"""

from __future__ import annotations

import asyncio
import re
from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

from pydantic import BaseModel, ConfigDict, Field, field_validator

from judge_serve.judging.canary_pairs import CANARY_PAIRS
from judge_serve.judging.engine import Engine, EngineRequest
from judge_serve.judging.errors import EngineError, FatalError, RefusedRequestError
from judge_serve.judging.retrying import RetryPolicy, complete_with_retry

CANARY_SET = 1  # raise when pairs, prompt or reading change: answers of different sets cannot be compared
NUM_CANARIES = len(CANARY_PAIRS)
IN_FLIGHT = 8
_MAX_TOKENS = 64
_READ_CHARS = 24  # of a reply without a rating; what batched decoding flips in long texts stands further back mostly
_INSTRUCTION = (
    "You rate how relevant a document is to a search query, from 1 (not relevant) to 5 (fully answers it). "
    'Reply with JSON of this form and nothing else: {"rating": 3}'
)
_RATED = re.compile(r"^\W*(?:rating\W*)?([1-5])\b", re.IGNORECASE)
_THOUGHT = re.compile(r"<think>.*?</think>", re.DOTALL)

Readings = tuple[str | None, ...]  # in the order of the pairs; None where nothing was answered


class CanaryAnswers(BaseModel):
    """What a model answered to the canaries.

    Attributes:
        canary_set: which pairs and prompt they are of.
        readings: in the order of the pairs, None where nothing was answered.
        flips: of how many canaries two answers in a row differed; None where each was asked once.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    canary_set: int = CANARY_SET
    readings: tuple[str | None, ...]
    flips: int | None = Field(None, ge=0)

    @field_validator("readings")
    @classmethod
    def _check_length(cls, readings: Readings) -> Readings:
        if not 1 <= len(readings) <= 1_000:
            raise ValueError(f"{len(readings)} answers to canaries")
        return readings

    @property
    def num_answered(self) -> int:
        """How many were answered at all."""
        return sum(reading is not None for reading in self.readings)


class Round(NamedTuple):
    """One answer to each canary that was asked, and what the engine showed of itself meanwhile.

    Attributes:
        failure: why one was not answered, where one was not.
    """

    readings: Readings
    reported: str | None = None
    fingerprint: str | None = None
    failure: EngineError | None = None


def canary_request(number: int) -> EngineRequest:
    """The request of a canary by its place, the same for ever within a `CANARY_SET`."""
    query, document = CANARY_PAIRS[number]
    asked = f"<query>\n{query}\n</query>\n<document>\n{document}\n</document>"
    messages = ({"role": "system", "content": _INSTRUCTION}, {"role": "user", "content": asked})
    return EngineRequest(messages, max_tokens=_MAX_TOKENS, seed=0)


def read_canary(text: str) -> str | None:
    """The rating at the beginning of a reply, else how it begins; None for a reply that says nothing."""
    said = " ".join(_THOUGHT.sub("", text).split())
    rated = _RATED.match(said)
    if rated:
        return rated.group(1)
    return said[:_READ_CHARS] if said and not said.startswith("<think>") else None


async def ask_canaries(engine: Engine, retry: RetryPolicy, numbers: Sequence[int] = range(NUM_CANARIES)) -> Round:
    """Ask canaries once; the others' readings are None.

    Raises: FatalError, which no later request would be spared either.
    """
    free = asyncio.Semaphore(IN_FLIGHT)
    readings: list[str | None] = [None] * NUM_CANARIES
    reported: Counter[str] = Counter()
    prints: Counter[str] = Counter()
    failures: list[EngineError] = []

    async def ask(number: int) -> None:
        async with free:
            try:
                reply = await complete_with_retry(engine, canary_request(number), retry)
            except RefusedRequestError as error:
                failures.append(error)
                return
            except FatalError:
                raise
            except EngineError as error:
                failures.append(error)
                return
        readings[number] = read_canary(reply.text)
        reported.update([reply.model] if reply.model else [])
        prints.update([reply.system_fingerprint] if reply.system_fingerprint else [])

    try:
        async with asyncio.TaskGroup() as group:
            for number in numbers:
                group.create_task(ask(number))
    except ExceptionGroup as failed:
        raise failed.exceptions[0] from failed
    return Round(tuple(readings), _commonest(reported), _commonest(prints), failures[0] if failures else None)


def _commonest(counted: Counter[str]) -> str | None:
    return max(counted, key=lambda name: (counted[name], name)) if counted else None

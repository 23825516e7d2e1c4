"""The judge: task + program + model + sampling + answer mode, and the one way to put an item to it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from functools import lru_cache

from pydantic import BaseModel, ConfigDict, Field, model_validator

from judge_serve.judging.content_key import digest_of
from judge_serve.judging.engine import Engine, EngineReply, EngineRequest
from judge_serve.judging.errors import NoTokenProbabilitiesError, RefusedRequestError
from judge_serve.judging.judgment import AnswerMode, Judgment
from judge_serve.judging.parsing import Reading, parse_reply, read_expected, storable
from judge_serve.judging.program import Program
from judge_serve.judging.rendering import render_messages, reply_schema
from judge_serve.judging.retrying import RetryPolicy, complete_with_retry
from judge_serve.judging.task import Item, Task
from judge_serve.judging.votes import Votes, combine, sample_numbers

TOP_LOGPROBS = 20  # the most that OpenAI and vLLM return by default


class Sampling(BaseModel):
    """Decoding settings of the free-text modes; `expected` always reads one greedy token."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    temperature: float = Field(0.0, ge=0.0, le=2.0)
    max_tokens: int = Field(128, ge=8, le=8_192)
    frequency_penalty: float = Field(0.0, ge=0.0, le=2.0)
    seed: int = 0


class ModelIdentity(BaseModel):
    """Which weights answer: name as served and the revision (commit, checksum or endpoint)."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = Field(min_length=1)
    revision: str = "unknown"


def check_demonstrations(program: Program, task: Task) -> None:
    """Raise ValueError if a demonstration shows a rating that the task's scale does not hold."""
    off_scale = [shown.rating for shown in program.demonstrations if shown.rating not in task.scale.ratings]
    if off_scale:
        raise ValueError(f"demonstration ratings {off_scale} are off scale {task.scale}")


def check_explanations(program: Program, mode: AnswerMode) -> None:
    """Raise ValueError if a demonstration lacks the explanation that a reply in the mode holds."""
    if mode is AnswerMode.EXPECTED:
        return
    unexplained = [number for number, shown in enumerate(program.demonstrations, 1) if not shown.explanation]
    if unexplained:
        raise ValueError(
            f"demonstrations {unexplained} have no explanation, which replies in mode '{mode}' hold; "
            "add one to each, or judge in mode 'expected'"
        )


def check_votes(votes: Votes | None, sampling: Sampling, mode: AnswerMode) -> None:
    """Raise ValueError if all samples of a judge that votes would be the same."""
    if votes is None:
        return
    if mode is AnswerMode.EXPECTED:
        raise ValueError("votes need replies that differ, mode 'expected' reads one greedy token; use another mode")
    if sampling.temperature == 0.0:
        raise ValueError("votes need replies that differ; set sampling.temperature above 0")


class Judge(BaseModel):
    """Everything that decides a judgment, as plain data."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    task: Task = Task()
    program: Program
    model: ModelIdentity
    sampling: Sampling = Sampling()
    mode: AnswerMode = AnswerMode.GENERATE
    # left out where there are none, so that judges without votes keep the digests of earlier versions
    votes: Votes | None = Field(None, exclude_if=lambda votes: votes is None)

    @property
    def digest(self) -> str:
        """SHA-256 over the canonical JSON of all that decides a judgment."""
        return digest_of(self.model_dump(mode="json"))

    @property
    def max_completion_tokens(self) -> int:
        """The most tokens that a visible reply may have."""
        return 1 if self.mode is AnswerMode.EXPECTED else self.sampling.max_tokens

    def __reduce__(self) -> tuple[Callable[[str], Judge], tuple[str]]:
        """Sent to other processes as JSON; one that got this judge before goes on with the object that it has."""
        return _received, (self.model_dump_json(),)

    @model_validator(mode="after")
    def _check_demonstrations(self) -> Judge:
        check_demonstrations(self.program, self.task)
        check_explanations(self.program, self.mode)
        check_votes(self.votes, self.sampling, self.mode)
        return self


@lru_cache(maxsize=256)
def _received(text: str) -> Judge:
    """The judge of a JSON text, one object each: what is derived from a judge is kept with it."""
    return Judge.model_validate_json(text)


def build_request(judge: Judge, item: Item, occurrence: int = 0) -> EngineRequest:
    """The request of one judge call: identical bytes wherever the same judge meets the same item."""
    messages = tuple(render_messages(judge.task, judge.program, judge.mode, item))
    sampling = judge.sampling
    if judge.mode is AnswerMode.EXPECTED:
        digits = tuple(str(rating) for rating in judge.task.scale.ratings)
        return EngineRequest(
            messages, max_tokens=judge.max_completion_tokens, choices=digits, top_logprobs=TOP_LOGPROBS
        )
    return EngineRequest(
        messages,
        max_tokens=judge.max_completion_tokens,
        temperature=sampling.temperature,
        frequency_penalty=sampling.frequency_penalty,
        seed=sampling.seed + occurrence,
        json_schema=reply_schema(judge.task.scale) if judge.mode is AnswerMode.GUIDED else None,
    )


async def judge_pair(
    judge: Judge, item: Item, engine: Engine, *, occurrence: int = 0, retry: RetryPolicy | None = None
) -> Judgment:
    """One judge call on a query-document pair: render, send, read strictly, record; votes are left to `judge_item`.

    A reply is asked for once; only transient engine failures are retried, never an unreadable reply.

    Raises:
        EngineError: the engine did not answer after all attempts; nothing was judged.
    """
    request = build_request(judge, item, occurrence)
    started = time.perf_counter()
    try:
        reply = await complete_with_retry(engine, request, retry or RetryPolicy())
    except RefusedRequestError as error:
        reply = EngineReply(text=str(error), finish_reason="refused")
        reading = Reading(None, None, error.invalid_reason)
        return _record(judge, item, occurrence, reply, reading, time.perf_counter() - started)
    latency_s = time.perf_counter() - started
    return _record(judge, item, occurrence, reply, _read(judge, reply), latency_s)


async def judge_item(
    judge: Judge, item: Item, engine: Engine, *, occurrence: int = 0, retry: RetryPolicy | None = None
) -> Judgment:
    """What a judge answers: one judge call, or as many at once as it has votes, combined; errors as `judge_pair`."""
    if judge.votes is None:
        return await judge_pair(judge, item, engine, occurrence=occurrence, retry=retry)
    try:
        async with asyncio.TaskGroup() as group:
            calls = [
                group.create_task(judge_pair(judge, item, engine, occurrence=number, retry=retry))
                for number in sample_numbers(judge.votes, occurrence)
            ]
    except ExceptionGroup as failed:
        raise failed.exceptions[0] from failed  # as a single call would
    return combine([call.result() for call in calls], judge.votes.combine, judge.task.scale, occurrence)


def _read(judge: Judge, reply: EngineReply) -> Reading:
    """What the reply says in the judge's answer mode."""
    scale = judge.task.scale
    if judge.mode is not AnswerMode.EXPECTED or reply.finish_reason == "content_filter":
        return parse_reply(reply.text, reply.finish_reason, scale)
    if reply.first_token_logprobs is None:
        raise NoTokenProbabilitiesError(
            f"model {judge.model.name!r} returned no token probabilities, which mode 'expected' needs; "
            "choose mode 'generate' or 'guided' for this endpoint"
        )
    return read_expected(reply.first_token_logprobs, scale)


def _record(
    judge: Judge, item: Item, occurrence: int, reply: EngineReply, reading: Reading, latency_s: float
) -> Judgment:
    return Judgment(
        query_id=item.query_id,
        doc_id=item.doc_id,
        rating=reading.rating,
        expected_rating=reading.expected_rating,
        explanation=reading.explanation,
        invalid_reason=reading.invalid_reason,
        raw_reply=storable(reply.text),
        finish_reason=reply.finish_reason,
        program=judge.program.digest,
        model=judge.model.name,
        mode=judge.mode,
        occurrence=occurrence,
        prompt_tokens=reply.prompt_tokens,
        completion_tokens=reply.completion_tokens,
        latency_s=latency_s,
    )

"""The one way to put a judge call to an engine: render, send, read strictly, record."""

from __future__ import annotations

import asyncio
import time

from judge_serve.judging.engine import Engine, EngineReply
from judge_serve.judging.errors import NoTokenProbabilitiesError, RefusedRequestError
from judge_serve.judging.judge import Judge
from judge_serve.judging.judge_call import JudgeCall, build_request
from judge_serve.judging.judgment import AnswerMode, Judgment
from judge_serve.judging.parsing import Reading, parse_reply, read_expected, storable
from judge_serve.judging.retrying import RetryPolicy, complete_with_retry
from judge_serve.judging.votes import combine

_MAX_CAUSE_CHARS = 500


async def judge_pair(call: JudgeCall, engine: Engine, *, retry: RetryPolicy | None = None) -> Judgment:
    """Carry out one judge call; votes are left to `judge_item`.

    A reply is asked for once; only transient engine failures are retried, never an unreadable reply.

    Raises:
        EngineError: the engine did not answer after all attempts; nothing was judged.
    """
    request = build_request(call)
    started = time.perf_counter()
    try:
        reply = await complete_with_retry(engine, request, retry or RetryPolicy())
    except RefusedRequestError as error:
        reply = EngineReply(text=str(error), finish_reason="refused")
        reading = Reading(None, None, error.invalid_reason)
        return _record(call, reply, reading, time.perf_counter() - started)
    latency_s = time.perf_counter() - started
    return _record(call, reply, _read(call.judge, reply), latency_s)


async def judge_item(call: JudgeCall, engine: Engine, *, retry: RetryPolicy | None = None) -> Judgment:
    """What a judge answers: one judge call, or as many at once as it has votes, combined; errors as `judge_pair`."""
    votes = call.judge.votes
    if votes is None:
        return await judge_pair(call, engine, retry=retry)
    try:
        async with asyncio.TaskGroup() as group:
            samples = [group.create_task(judge_pair(sample, engine, retry=retry)) for sample in call.samples()]
    except ExceptionGroup as failed:
        raise failed.exceptions[0] from failed  # as a single call would
    judgments = [sample.result() for sample in samples]
    return combine(judgments, votes.combine, call.judge.task.scale, call.occurrence)


def not_judged(call: JudgeCall, cause: str) -> Judgment:
    """The judgment of a call that was not judged, because of what happened to it alone."""
    judge, item, occurrence = call
    return Judgment(
        query_id=item.query_id,
        doc_id=item.doc_id,
        rating=None,
        expected_rating=None,
        explanation=None,
        invalid_reason=None,
        raw_reply="",
        finish_reason="",
        program=judge.program.digest,
        model=judge.model.name,
        mode=judge.mode,
        occurrence=occurrence,
        cause=storable(" ".join(cause.split())[:_MAX_CAUSE_CHARS]) or "no reason given",
    )


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
    return read_expected(reply.first_token_logprobs, scale, judge.min_digit_mass)


def _record(call: JudgeCall, reply: EngineReply, reading: Reading, latency_s: float) -> Judgment:
    judge, item, occurrence = call
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
        digit_mass=reading.digit_mass,
        identity=judge.model.id,
    )

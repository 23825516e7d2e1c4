"""A judge call: one judge, one item, one occurrence; its request, and its content key, which equal requests share.

A key covers model and revision, sampling, answer mode, schema, rendered prompt, example and occurrence. The part
that all calls of a judge share is digested once, see `judge_key`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from typing import NamedTuple

from judge_serve.judging.content_key import canonical_json
from judge_serve.judging.engine import EngineRequest
from judge_serve.judging.judge import Judge
from judge_serve.judging.judgment import AnswerMode
from judge_serve.judging.rendering import render_item, render_messages, reply_schema
from judge_serve.judging.task import Example, Item
from judge_serve.judging.votes import sample_numbers

TOP_LOGPROBS = 20  # the most that OpenAI and vLLM return by default
# Raise when replies are read differently: what was recorded before is then asked again. In `expected` 2 since the mass
# on the digits counts, which rows of 1 do not hold.
READINGS = {AnswerMode.GENERATE: 1, AnswerMode.GUIDED: 1, AnswerMode.EXPECTED: 2}
_ANY_ITEM = Item(query="q", document="d", query_id="q", doc_id="d")


class JudgeCall(NamedTuple):
    """One thing to judge, from whoever asks to the engine: a judge, an item, and which repetition of it this is."""

    judge: Judge
    item: Item
    occurrence: int = 0

    @property
    def key(self) -> bytes:
        """Content key, 32 bytes; of many calls `call_keys` is faster."""
        return call_key(judge_key(self.judge), self.item, self.occurrence, self.judge.control_tokens)

    @property
    def num_samples(self) -> int:
        """How often the model is asked."""
        return self.judge.votes.num_samples if self.judge.votes else 1

    def samples(self) -> list[JudgeCall]:
        """The calls behind this one: as many as its judge has votes, itself where it has none."""
        votes = self.judge.votes
        if votes is None:
            return [self]
        return [self._replace(occurrence=number) for number in sample_numbers(votes, self.occurrence)]


def num_samples_of(calls: Iterable[JudgeCall]) -> int:
    """How often models are asked for these calls."""
    return sum(call.num_samples for call in calls)


def calls_of(judge: Judge, examples: Iterable[Example], occurrence: int = 0) -> list[JudgeCall]:
    """One call of the judge for each example."""
    return [JudgeCall(judge, example.item, occurrence) for example in examples]


def build_request(call: JudgeCall) -> EngineRequest:
    """The request of one judge call: identical bytes wherever the same judge meets the same item."""
    judge, item, occurrence = call
    messages = tuple(render_messages(judge.task, judge.program, judge.mode, item, judge.control_tokens))
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


def call_keys(calls: Sequence[JudgeCall]) -> list[bytes]:
    """Content keys of judge calls, in their order; what calls of one judge object share is digested once."""
    shared: dict[int, bytes] = {}
    keys = []
    for judge, item, occurrence in calls:
        if id(judge) not in shared:
            shared[id(judge)] = judge_key(judge)
        keys.append(call_key(shared[id(judge)], item, occurrence, judge.control_tokens))
    return keys


def judge_key(judge: Judge) -> bytes:
    """Digest (32 bytes) of all that the calls of a judge share."""
    request = asdict(build_request(JudgeCall(judge, _ANY_ITEM)))
    request["messages"] = request["messages"][:-1]  # the last one is the item's
    shared = [READINGS[judge.mode], judge.model.model_dump(mode="json"), str(judge.mode), request]
    if judge.mode is AnswerMode.EXPECTED:
        shared.append(judge.min_digit_mass)
    return hashlib.sha256(canonical_json(shared).encode("utf-8", "surrogatepass")).digest()


def call_key(shared: bytes, item: Item, occurrence: int, control_tokens: tuple[str, ...] = ()) -> bytes:
    """Digest (32 bytes) of one judge call; `shared` is the judge's `judge_key`, and the tokens are its too."""
    text = render_item(item.query, item.document, control_tokens)
    lengths = f"{len(item.query_id)}:{len(item.doc_id)}:{occurrence}:"  # so that no two splits of a text are equal
    content = f"{lengths}{item.query_id}{item.doc_id}{text}"
    return hashlib.sha256(shared + content.encode("utf-8", "surrogatepass")).digest()

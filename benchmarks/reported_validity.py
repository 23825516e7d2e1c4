"""What a study reports of validity, stage by stage, held against the replies that its engine really sent."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from judge_serve.judging import Engine, EngineReply, EngineRequest
from judge_serve.judging.judge_call import JudgeCall, build_request
from optimize_workers.study import Judged, Study, Trial

STAGES = ("demonstrations", "minibatches", "full evaluations")


class StageValidity(NamedTuple):
    """What trials of a stage report.

    Attributes:
        judgments: of all trials.
        reported: those of them that are reported valid.
        sent: those of them whose reply was a JSON object.
        largest_error: of a trial, between the validity that it reports and the share of such replies.
    """

    judgments: int = 0
    reported: float = 0.0
    sent: int = 0
    largest_error: float = 0.0

    def plus(self, other: StageValidity) -> StageValidity:
        """The trials of both."""
        return StageValidity(
            self.judgments + other.judgments,
            self.reported + other.reported,
            self.sent + other.sent,
            max(self.largest_error, other.largest_error),
        )

    @property
    def validity(self) -> float:
        """Reported share of valid judgments, in [0, 1]."""
        return self.reported / self.judgments


class SentReplies:
    """An engine that remembers of every request whether the reply was a JSON object."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._is_object: dict[tuple[str, ...], bool] = {}
        self.model = engine.model

    async def complete(self, request: EngineRequest) -> EngineReply:
        """See `Engine.complete`."""
        reply = await self._engine.complete(request)
        self._is_object[_texts(request)] = _is_object(reply.text)
        return reply

    async def close(self) -> None:
        """See `Engine.close`."""
        await self._engine.close()

    def is_object(self, request: EngineRequest) -> bool:
        """Whether the reply to a request that was sent was a JSON object."""
        return self._is_object[_texts(request)]


@dataclass
class AuditedStudy(Study):
    """A study that holds every trial against what was sent.

    Attributes:
        replies: the engine that it judges with.
        validity: of all trials so far, by stage.
    """

    replies: SentReplies = field(kw_only=True)
    validity: dict[str, StageValidity] = field(default_factory=lambda: pooled([]), init=False)

    def record(self, judged: Judged, origin: dict[str, Any], *, is_full: bool, split: str = "val") -> Trial:
        """See `Study.record`."""
        trial = super().record(judged, origin, is_full=is_full, split=split)
        judge = self.judge.model_copy(update={"program": judged.program})
        sent = sum(self.replies.is_object(build_request(JudgeCall(judge, example.item))) for example in judged.examples)
        one = StageValidity(trial.n, trial.validity * trial.n, sent, abs(trial.validity - sent / trial.n))
        stage = _stage_of(trial)
        self.validity[stage] = self.validity[stage].plus(one)
        return trial


def pooled(runs: Iterable[dict[str, StageValidity]]) -> dict[str, StageValidity]:
    """The judgments of several studies taken together."""
    total = dict.fromkeys(STAGES, StageValidity())
    for run in runs:
        total = {stage: total[stage].plus(run[stage]) for stage in STAGES}
    return total


def _stage_of(trial: Trial) -> str:
    demonstrations, minibatches, full = STAGES
    if trial.split == "train":
        return demonstrations
    return full if trial.is_full else minibatches


def _texts(request: EngineRequest) -> tuple[str, ...]:
    return tuple(message["content"] for message in request.messages)


def _is_object(text: str) -> bool:
    try:
        return isinstance(json.loads(text), dict)
    except ValueError:
        return False

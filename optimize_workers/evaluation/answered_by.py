"""The layer that puts the model that answers, with its scope, in the place of the one that a judge was made for.

A release keeps the identity that it was made with; what is asked at another address, or after a change, is recorded
and found again as what it is.
"""

from __future__ import annotations

from collections.abc import Sequence

from judge_serve.judging.identity import ModelIdentity
from judge_serve.judging.judge import Judge
from judge_serve.judging.judge_call import JudgeCall
from judge_serve.judging.judgment import Judgment
from optimize_workers.evaluation.layer import Layer, OnDone


class AnsweredBy:
    """See the module."""

    def __init__(self, inner: Layer, model: ModelIdentity) -> None:
        self._inner = inner
        self._model = model

    def judge(self, calls: Sequence[JudgeCall], on_done: OnDone | None = None) -> list[Judgment]:
        """See `Layer.judge`."""
        return self._inner.judge(calls_to(calls, self._model), on_done)


def calls_to(calls: Sequence[JudgeCall], model: ModelIdentity) -> Sequence[JudgeCall]:
    """The same calls put to a model; judges that are its own already stay the objects that they are."""
    judges: dict[int, Judge] = {}
    for call in calls:
        if id(call.judge) not in judges:
            own = call.judge.model == model
            judges[id(call.judge)] = call.judge if own else call.judge.model_copy(update={"model": model})
    if all(call.judge is judges[id(call.judge)] for call in calls):
        return calls
    return [call._replace(judge=judges[id(call.judge)]) for call in calls]

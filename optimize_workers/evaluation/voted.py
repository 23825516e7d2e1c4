"""The layer that makes one judgment of the samples of a judge that votes; other judges' calls pass through."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate

from judge_serve.judging.judge_call import JudgeCall
from judge_serve.judging.judgment import Judgment
from judge_serve.judging.votes import combine
from optimize_workers.evaluation.layer import Layer, OnDone, all_told


class Voted:
    """See the module; each sample is a judge call of its own, in the store and in the budget."""

    def __init__(self, inner: Layer) -> None:
        self._inner = inner

    def judge(self, calls: Sequence[JudgeCall], on_done: OnDone | None = None) -> list[Judgment]:
        """See `Layer.judge`; a judgment is told when all of its samples are in."""
        if all(call.judge.votes is None for call in calls):
            return self._inner.judge(calls, on_done)
        samples = [call.samples() for call in calls]
        owners = [place for place, own in enumerate(samples) for _ in own]
        firsts = [0, *accumulate(map(len, samples))]
        arrived: list[Judgment | None] = [None] * len(owners)
        num_missing = [len(own) for own in samples]
        judgments: list[Judgment | None] = [None] * len(calls)

        def take(places: Sequence[int], fresh: Sequence[Judgment]) -> None:
            done = []
            for place, judgment in zip(places, fresh, strict=True):
                owner = owners[place]
                arrived[place] = judgment
                num_missing[owner] -= 1
                if not num_missing[owner]:
                    own = arrived[firsts[owner] : firsts[owner + 1]]
                    judgments[owner] = _combined(calls[owner], all_told(own))
                    done.append(owner)
            if on_done:
                on_done(done, all_told([judgments[owner] for owner in done]))

        self._inner.judge([sample for own in samples for sample in own], take)
        return all_told(judgments)


def _combined(call: JudgeCall, samples: Sequence[Judgment]) -> Judgment:
    votes = call.judge.votes
    return combine(samples, votes.combine, call.judge.task.scale, call.occurrence) if votes else samples[0]

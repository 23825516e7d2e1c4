"""What judges is a stack of layers with one method, as HTTP clients stack transports.

A stack ends in a pool (`workers.WorkerPool` in every path that a user runs) and holds of these what its owner wants,
each around the one before: `recorded.Recorded` (the ledger), `watched.Watched`, `tolerated.Tolerated`,
`budgeted.Budgeted`, `voted.Voted`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

from judge_serve.judging.judge_call import JudgeCall
from judge_serve.judging.judgment import Judgment

OnDone = Callable[[Sequence[int], Sequence[Judgment]], None]


class Layer(Protocol):
    """Whoever carries out judge calls; any number of threads may ask at once."""

    def judge(self, calls: Sequence[JudgeCall], on_done: OnDone | None = None) -> list[Judgment]:
        """Judgments in the order of the calls; one that holds a `cause` says that its call alone was not judged.

        `on_done` is told each judgment once, with its place among the calls, as it arrives, in the calling thread;
        now and then it is told nothing, while nothing arrives.

        Raises:
            EngineError: an engine gave up; what was told before was judged.
        """
        ...


def all_told(judgments: Sequence[Judgment | None]) -> list[Judgment]:
    """Judgments that were told one by one; a layer that kept one back would shift all places after it."""
    told = [judgment for judgment in judgments if judgment is not None]
    assert len(told) == len(judgments), f"{len(judgments) - len(told)} judgments were not told"
    return told

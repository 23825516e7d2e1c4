"""Measuring one judge on one split: judgments, figures and their place in `result.json`.

All that judges examples outside of a search goes through `Measurer.answer`.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any, NamedTuple

from cluster.endpoint.models import ModelChoice
from cluster.endpoint.session import open_session
from cluster.progress import Progress
from judge_serve.judging.judge_call import JudgeCall, calls_of
from judge_serve.judging.judgment import Judgment
from judge_serve.judging.release import Release
from judge_serve.judging.task import Example
from judge_serve.serving.home import home
from optimize_workers.dataset.splits import Dataset
from optimize_workers.evaluation.layer import Layer
from optimize_workers.evaluation.recorded import JudgmentStore, Recorded, are_recorded
from optimize_workers.evaluation.voted import Voted
from optimize_workers.evaluation.watched import Counts, Watched
from optimize_workers.statistics.metrics import Figures, measure
from optimize_workers.texts.query_groups import query_groups

# name, release id, judgments and examples, as `RunFolder.write_judgments` takes them
JudgedGroup = tuple[str, str, Sequence[Judgment], Sequence[Example]]


class Measured(NamedTuple):
    """A judge with its judgments and figures on a split."""

    release: Release
    examples: Sequence[Example]
    judgments: list[Judgment]
    figures: Figures
    wall_s: float
    counts: Counts | None = None  # of the judge calls behind the judgments; None where each is one call

    def group(self, name: str) -> JudgedGroup:
        """For the run's `judgments.parquet`; `name` is the column `arm`."""
        return name, self.release.id, self.judgments, self.examples

    def as_dict(self, dataset: Dataset, split: str) -> dict[str, Any]:
        """The contract's `result.json` of `evaluate`."""
        judge = self.release.judge
        return {
            "dataset": {
                "path": dataset.path,
                "fingerprint": dataset.fingerprint,
                "split": split,
                "n": self.figures.n,
                "queries": len(set(query_groups(e.item for e in self.examples))),
            },
            "judge": {"release": self.release.id, "model": judge.model.name, "mode": str(judge.mode)},
            **self.figures.as_dict(),
            "calls": self.counts.calls if self.counts else len(self.judgments),
            "cached": self.counts.cached if self.counts else sum(j.cached for j in self.judgments),  # by the ledger
            "prompt_tokens": sum(judgment.prompt_tokens for judgment in self.judgments),
            "completion_tokens": sum(judgment.completion_tokens for judgment in self.judgments),
            "wall_s": round(self.wall_s, 3),
        }


@dataclass(frozen=True)
class Measurer:
    """What measures judges of one model.

    Attributes:
        pool: carries judge calls out; None where the store holds them all.
        store: answers what it holds at no cost, records the rest.
        progress: told what goes on.
    """

    pool: Layer | None
    store: JudgmentStore
    progress: Progress

    def answer(self, calls: Sequence[JudgeCall], title: str) -> tuple[list[Judgment], Counts]:
        """What judges answer to calls, in their order, votes combined and not calibrated; and what that cost."""
        self.progress.phase(title, sum(call.num_samples for call in calls))
        watched = Watched(Recorded(self.pool, self.store), self.progress)
        return Voted(watched).judge(calls), watched.counts

    def judge(self, release: Release, examples: Sequence[Example], title: str) -> tuple[list[Judgment], Counts]:
        """Judgments of all examples, in their order, and what they cost."""
        judged, counts = self.answer(calls_of(release.judge, examples), title)
        return [release.calibrated(judgment) for judgment in judged], counts

    def measure(self, release: Release, examples: Sequence[Example], title: str) -> Measured:
        """Judge all examples once and take the figures."""
        started = time.perf_counter()
        judgments, counts = self.judge(release, examples, title)
        wall_s = time.perf_counter() - started
        figures = measure(judgments, examples, release.judge.task.scale)
        self.progress.note(summary_line(figures))
        return Measured(release, examples, judgments, figures, wall_s, counts)

    def remeasure(self, release: Release, measured: Measured) -> Measured:
        """A release that differs in its calibration only from a measured one, which has none; asks nobody."""
        judgments = [release.calibrated(judgment) for judgment in measured.judgments]
        figures = measure(judgments, measured.examples, release.judge.task.scale)
        self.progress.note(f"calibrated: {summary_line(figures)}")
        return measured._replace(release=release, judgments=judgments, figures=figures)


@contextmanager
def open_measurer(
    choice: ModelChoice, store: JudgmentStore, progress: Progress, needed: Sequence[JudgeCall]
) -> Iterator[Measurer]:
    """What measures judges of a model; the model is not started where the store answers all that is `needed`."""
    with ExitStack() as stack:
        pool: Layer | None = None
        if not are_recorded(needed, store):
            pool = stack.enter_context(open_session(choice, home(), progress)).pool
        yield Measurer(pool, store, progress)


def summary_line(figures: Figures) -> str:
    """The figures that must never hide behind each other, in one line."""
    on_valid = "-" if figures.nmse_valid is None else f"{figures.nmse_valid:.1f}"
    skill = "-" if figures.skill is None else f"{figures.skill:+.2f}"
    return (
        f"NMSE {figures.nmse:.1f} ({figures.valid} valid / {figures.invalid} invalid; "
        f"over valid {on_valid}; constant {figures.nmse_constant:.1f}, skill {skill})"
    )

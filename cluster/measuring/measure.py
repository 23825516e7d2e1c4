"""Measuring one judge on one split: judgments, figures and their place in `result.json`."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any, NamedTuple

from cluster.progress import Progress
from judge_serve.judging.judge import Judge
from judge_serve.judging.judge_call import calls_of
from judge_serve.judging.judgment import Judgment
from judge_serve.judging.release import Release
from judge_serve.judging.task import Example
from judge_serve.judging.votes import sample_numbers
from optimize_workers.dataset.splits import Dataset
from optimize_workers.evaluation.layer import Layer
from optimize_workers.evaluation.recorded import JudgmentStore, Recorded
from optimize_workers.evaluation.voted import Voted
from optimize_workers.evaluation.watched import Counts, Watched
from optimize_workers.statistics.metrics import Figures, measure


class Measured(NamedTuple):
    """A judge with its judgments and figures on a split."""

    release: Release
    examples: Sequence[Example]
    judgments: list[Judgment]
    figures: Figures
    wall_s: float
    counts: Counts | None = None  # of the judge calls behind the judgments; None where each is one call

    def as_dict(self, dataset: Dataset, split: str) -> dict[str, Any]:
        """The contract's `result.json` of `evaluate`."""
        judge = self.release.judge
        return {
            "dataset": {
                "path": dataset.path,
                "fingerprint": dataset.fingerprint,
                "split": split,
                "n": self.figures.n,
                "queries": len({e.item.query_id for e in self.examples}),
            },
            "judge": {"release": self.release.id, "model": judge.model.name, "mode": str(judge.mode)},
            **self.figures.as_dict(),
            "calls": self.counts.calls if self.counts else len(self.judgments),
            "cached": self.counts.cached if self.counts else sum(j.cached for j in self.judgments),  # by the ledger
            "prompt_tokens": sum(judgment.prompt_tokens for judgment in self.judgments),
            "completion_tokens": sum(judgment.completion_tokens for judgment in self.judgments),
            "wall_s": round(self.wall_s, 3),
        }


def measure_judge(
    release: Release,
    examples: Sequence[Example],
    pool: Layer | None,
    progress: Progress,
    title: str,
    store: JudgmentStore | None = None,
) -> Measured:
    """Judge all examples once, those in the store at no cost, and take the figures.

    `pool` may be None where the store holds them all.
    """
    started = time.perf_counter()
    judgments, counts = judge_examples(release, examples, pool, progress, title, store)
    wall_s = time.perf_counter() - started
    figures = measure(judgments, examples, release.judge.task.scale)
    progress.note(summary_line(figures))
    return Measured(release, examples, judgments, figures, wall_s, counts)


def remeasure(release: Release, measured: Measured, progress: Progress) -> Measured:
    """A release that differs from a measured one, which has no calibration, in its calibration only; asks nobody."""
    judgments = [release.calibrated(judgment) for judgment in measured.judgments]
    figures = measure(judgments, measured.examples, release.judge.task.scale)
    progress.note(f"calibrated: {summary_line(figures)}")
    return measured._replace(release=release, judgments=judgments, figures=figures)


def judge_examples(
    release: Release,
    examples: Sequence[Example],
    pool: Layer | None,
    progress: Progress,
    title: str,
    store: JudgmentStore | None = None,
) -> tuple[list[Judgment], Counts]:
    """Judgments of all examples, in their order, and what they cost; see `measure_judge`."""
    judge: Judge = release.judge
    progress.phase(title, len(examples) * len(sample_numbers(judge.votes)))
    watched = watched_by(progress, pool, store)
    judged = Voted(watched).judge(calls_of(judge, examples))
    return [release.calibrated(judgment) for judgment in judged], watched.counts


def watched_by(progress: Progress, pool: Layer | None, store: JudgmentStore | None = None) -> Watched:
    """The layers that judge outside of a search: what the store does not hold is asked, all is counted and told.

    `pool` may be None where the store holds all.
    """
    if store is not None:
        return Watched(Recorded(pool, store), progress)
    if pool is None:
        raise ValueError("neither a pool nor a store: nobody to ask")
    return Watched(pool, progress)


def summary_line(figures: Figures) -> str:
    """The figures that must never hide behind each other, in one line."""
    on_valid = "-" if figures.nmse_valid is None else f"{figures.nmse_valid:.1f}"
    skill = "-" if figures.skill is None else f"{figures.skill:+.2f}"
    return (
        f"NMSE {figures.nmse:.1f} ({figures.valid} valid / {figures.invalid} invalid; "
        f"over valid {on_valid}; constant {figures.nmse_constant:.1f}, skill {skill})"
    )

"""Measuring one judge on one split: judgments, figures and their place in `result.json`.

All that judges examples outside of a search goes through `Measurer.answer`.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any, NamedTuple

from cluster.endpoint.meeting import Met, known, meet
from cluster.endpoint.models import ModelChoice
from cluster.endpoint.session import Session, open_session
from cluster.progress import Progress
from judge_serve.judging.canaries import CanaryAnswers
from judge_serve.judging.judge_call import JudgeCall, calls_of
from judge_serve.judging.judgment import Judgment
from judge_serve.judging.release import Release
from judge_serve.judging.task import Example
from judge_serve.serving.home import home
from optimize_workers.dataset.splits import Dataset
from optimize_workers.evaluation.layer import Layer
from optimize_workers.evaluation.recorded import JudgmentStore
from optimize_workers.evaluation.tolerated import Tolerated, shown_items
from optimize_workers.evaluation.voted import Voted
from optimize_workers.evaluation.watched import Counts, Watched
from optimize_workers.ledger import Ledger
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
    found: dict[str, Any] = {}  # noqa: RUF012 - what the session knew of its endpoints by then, see `Session.found`
    met: Met | None = None  # what answered

    @property
    def canaries(self) -> CanaryAnswers | None:
        """What the model answered to the canaries, as far as it was asked."""
        return self.met.canaries if self.met else None

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
            **({"model": self.met.as_dict()} if self.met else {}),
            **self.figures.as_dict(),
            "not_judged_items": shown_items(self.judgments),
            "calls": self.counts.calls if self.counts else len(self.judgments),
            "cached": self.counts.cached if self.counts else sum(j.cached for j in self.judgments),  # by the ledger
            "prompt_tokens": sum(judgment.prompt_tokens for judgment in self.judgments),
            "completion_tokens": sum(judgment.completion_tokens for judgment in self.judgments),
            "wall_s": round(self.wall_s, 3),
            **self.found,
        }


@dataclass(frozen=True)
class Measurer:
    """What measures judges of one model.

    Attributes:
        pool: carries judge calls out; None where the store holds them all.
        store: answers what it holds at no cost, records the rest.
        progress: told what goes on.
        met: the model that answers.
        found: says what is known of the endpoints that are asked.
        max_not_judged: how many items may be not judged; None is as `Tolerated` has it.
    """

    pool: Layer | None
    store: JudgmentStore
    progress: Progress
    met: Met
    found: Callable[[], dict[str, Any]] = dict
    max_not_judged: int | None = None

    def recorded(self) -> Layer:
        """The layers that answer for the model, the store before the pool."""
        return self.met.recorded(self.pool, self.store)

    def answer(self, calls: Sequence[JudgeCall], title: str) -> tuple[list[Judgment], Counts]:
        """What judges answer to calls, in their order, votes combined and not calibrated; and what that cost."""
        self.progress.phase(title, sum(call.num_samples for call in calls))
        watched = Watched(self.recorded(), self.progress)
        num_items = len({(call.item.query_id, call.item.doc_id) for call in calls})
        return Tolerated(Voted(watched), num_items, self.max_not_judged).judge(calls), watched.counts

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
        return Measured(release, examples, judgments, figures, wall_s, counts, self.found(), self.met)

    def remeasure(self, release: Release, measured: Measured) -> Measured:
        """A release that differs in its calibration only from a measured one, which has none; asks nobody."""
        judgments = [release.calibrated(judgment) for judgment in measured.judgments]
        figures = measure(judgments, measured.examples, release.judge.task.scale)
        self.progress.note(f"calibrated: {summary_line(figures)}")
        return measured._replace(release=release, judgments=judgments, figures=figures)


@contextmanager
def open_measurer(
    choice: ModelChoice,
    ledger: Ledger,
    progress: Progress,
    needed: Sequence[JudgeCall],
    max_not_judged: int | None = None,
    *,
    fresh: bool = False,
) -> Iterator[Measurer]:
    """What measures judges of a model; the model is not started where the ledger answers all that is `needed`.

    An endpoint is asked its canaries before, whatever the ledger holds; `fresh` has everything asked again.
    """
    with ExitStack() as stack:
        session: Session | None = None
        met = meet(choice, ledger, progress, needed, fresh=fresh) if choice.endpoint else known(choice, ledger)
        if met is None or (fresh and not choice.endpoint) or not met.has_recorded(needed, ledger):
            session = stack.enter_context(open_session(choice, home(), progress))
            if choice.endpoint is None:
                met = meet(session.choice, ledger, progress, needed, fresh=fresh)
        assert met is not None, "an endpoint is always met"
        if session is None:
            yield Measurer(None, ledger, progress, met, max_not_judged=max_not_judged)
        else:
            yield Measurer(session.pool, ledger, progress, met, session.found, max_not_judged)


def summary_line(figures: Figures) -> str:
    """The figures that must never hide behind each other, in one line."""
    on_valid = "-" if figures.nmse_valid is None else f"{figures.nmse_valid:.1f}"
    skill = "-" if figures.skill is None else f"{figures.skill:+.2f}"
    return (
        f"NMSE {figures.nmse:.1f} ({figures.valid} valid / {figures.invalid} invalid"
        f"{f' / {figures.not_judged} not judged' if figures.not_judged else ''}; "
        f"over valid {on_valid}; constant {figures.nmse_constant:.1f}, skill {skill})"
    )

"""`evaluate --repeats`: a judge measured several times on the same examples."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any, NamedTuple

from cluster.measuring.measure import Measured, Measurer, summary_line
from judge_serve.judging.errors import RefusedInputError
from judge_serve.judging.judge import Judge
from judge_serve.judging.judge_call import JudgeCall, calls_of
from judge_serve.judging.judgment import AnswerMode, Judgment
from judge_serve.judging.release import Release
from judge_serve.judging.task import Example
from optimize_workers.evaluation.watched import Counts
from optimize_workers.evidence.repeats import Repeats, measure_repeats
from optimize_workers.statistics.metrics import measure


class Repeated(NamedTuple):
    """A judge by its first judgments, and all of its judgments, the rounds one after the other."""

    first: Measured
    rounds: list[list[Judgment]]
    repeats: Repeats
    counts: Counts

    def as_dict(self) -> dict[str, Any]:
        """The `repeats` of `result.json`."""
        judge = self.first.release.judge
        return {
            "temperature": judge.sampling.temperature,
            "calls": self.counts.calls,
            "cached": self.counts.cached,
            **self.repeats.as_dict(len(self.first.examples)),
        }


def with_temperature(release: Release, temperature: float) -> Release:
    """A judge file's release at another temperature.

    Raises: RefusedInputError where the mode has no temperature.
    """
    if release.judge.mode is AnswerMode.EXPECTED:
        raise RefusedInputError("--temperature: mode 'expected' reads one greedy token; use another --mode")
    sampling = release.judge.sampling.model_copy(update={"temperature": temperature})
    return Release(name=release.name, judge=release.judge.model_copy(update={"sampling": sampling}))


def check_repeats(judge: Judge, repeats: int | None) -> None:
    """Raise RefusedInputError if repeats of the judge would be equal, or combined already."""
    if repeats is None:
        return
    if judge.votes is not None:
        raise RefusedInputError(
            f"--repeats: the judge combines {judge.votes.num_samples} votes already; leave [votes] out of its file"
        )
    if judge.mode is AnswerMode.EXPECTED:
        raise RefusedInputError(
            "--repeats: mode 'expected' reads one greedy token, repeats are equal; use another --mode"
        )
    if judge.sampling.temperature == 0.0:
        raise RefusedInputError("--repeats: at temperature 0 repeats are equal; give --temperature, such as 0.7")


def repeat_calls(judge: Judge, examples: Sequence[Example], repeats: int) -> list[JudgeCall]:
    """The judge calls of all rounds, one round after the other."""
    return [call for number in range(repeats) for call in calls_of(judge, examples, number)]


def measure_repeatedly(
    measurer: Measurer, release: Release, examples: Sequence[Example], repeats: int, title: str
) -> Repeated:
    """Judge all examples `repeats` times; the figures are those of the first time, as without repeats."""
    started = time.perf_counter()
    calls = repeat_calls(release.judge, examples, repeats)
    judged, counts = measurer.answer(calls, f"{title}, {repeats} times")
    wall_s = time.perf_counter() - started
    raw = [judged[start : start + len(examples)] for start in range(0, len(judged), len(examples))]
    rounds = [[release.calibrated(judgment) for judgment in one] for one in raw]
    scale = release.judge.task.scale
    figures = measure(rounds[0], examples, scale)
    measurer.progress.note(f"first time: {summary_line(figures)}")
    first = Measured(release, examples, rounds[0], figures, wall_s, found=measurer.found(), met=measurer.met)
    return Repeated(first, rounds, measure_repeats(raw, examples, scale, release.calibrated), counts)

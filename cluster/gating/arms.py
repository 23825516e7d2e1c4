"""Arms: releases that are measured on the same held-out examples, and perturbed ones, one model after the other."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from typing import NamedTuple

from cluster.endpoint.models import ModelChoice
from cluster.endpoint.session import open_session
from cluster.measuring.measure import Measured, judge_examples, measure_judge
from cluster.progress import Progress
from judge_serve.judging.judge_call import calls_of
from judge_serve.judging.judgment import Judgment
from judge_serve.judging.release import Release
from judge_serve.judging.task import Example
from judge_serve.serving.home import home
from optimize_workers.evaluation.layer import Layer
from optimize_workers.evaluation.recorded import are_recorded
from optimize_workers.evidence.gate.adversarial import Perturbed
from optimize_workers.evidence.gate.rating_shift import Rerated
from optimize_workers.ledger import Ledger


class Arm(NamedTuple):
    """A release that is to be measured, and how to reach its model."""

    name: str
    release: Release
    choice: ModelChoice


class MeasuredArm(NamedTuple):
    """A release measured on the examples, and its judgments of the perturbed pairs."""

    measured: Measured
    perturbed: list[Judgment]

    @property
    def rerated(self) -> Rerated:
        """What the adversarial suite compares."""
        return Rerated(self.measured.judgments, self.perturbed)


def measure_arms(
    arms: Sequence[Arm], examples: Sequence[Example], pairs: Sequence[Perturbed], ledger: Ledger, progress: Progress
) -> dict[str, MeasuredArm]:
    """Judgments and figures of each arm, by its name.

    A model is started once for all of its arms, and not at all where the ledger answers for them.
    """
    perturbed = [pair.example for pair in pairs]
    measured = {}
    for model in dict.fromkeys(arm.choice.identity for arm in arms):
        own = [arm for arm in arms if arm.choice.identity == model]
        with ExitStack() as stack:
            pool: Layer | None = None
            if not all(_is_recorded(arm.release, [*examples, *perturbed], ledger) for arm in own):
                pool = stack.enter_context(open_session(own[0].choice, home(), progress)).pool
            for name, release, _ in own:
                title = f"{name} {release.id} on {len(examples)} held-out test examples"
                found = measure_judge(release, examples, pool, progress, title, ledger)
                title = f"{name} {release.id} on {len(pairs)} perturbed pairs"
                reread, _ = judge_examples(release, perturbed, pool, progress, title, ledger) if pairs else ([], None)
                measured[name] = MeasuredArm(found, reread)
    return measured


def _is_recorded(release: Release, examples: Sequence[Example], ledger: Ledger) -> bool:
    return are_recorded(calls_of(release.judge, examples), ledger)

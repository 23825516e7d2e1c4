"""Releases side by side: measured on the same held-out examples and on perturbed ones, one model after the other."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

from cluster.endpoint.models import ModelChoice
from cluster.measuring.measure import Measured, open_measurer
from cluster.progress import Progress
from judge_serve.judging.identity import ModelIdentity
from judge_serve.judging.judge_call import calls_of
from judge_serve.judging.judgment import Judgment
from judge_serve.judging.release import Release
from judge_serve.judging.task import Example
from optimize_workers.evidence.gate.adversarial import Perturbed
from optimize_workers.evidence.gate.rating_shift import Rerated
from optimize_workers.ledger import Ledger


class Side(NamedTuple):
    """A release that is to be measured, and how to reach its model; `name` is its `arm` in the run's tables."""

    name: str
    release: Release
    choice: ModelChoice


class MeasuredSide(NamedTuple):
    """A release measured on the examples, and its judgments of the perturbed pairs."""

    measured: Measured
    perturbed: list[Judgment]

    @property
    def rerated(self) -> Rerated:
        """What the adversarial suite compares."""
        return Rerated(self.measured.judgments, self.perturbed)


class Asking(NamedTuple):
    """Where answers come from and who is told: the ledger, progress, whoever notes which models answer.

    `max_not_judged` as in `Measurer`; `fresh` has everything asked again.
    """

    ledger: Ledger
    progress: Progress
    note_model: Callable[[ModelIdentity], None]
    max_not_judged: int | None = None
    fresh: bool = False


def measure_sides(
    sides: Sequence[Side], examples: Sequence[Example], pairs: Sequence[Perturbed], asking: Asking
) -> dict[str, MeasuredSide]:
    """Judgments and figures of each release, by its name.

    A model is started once for all of its releases, and not at all where the ledger answers for them.
    """
    ledger, progress, note_model, limit, fresh = asking
    perturbed = [pair.example for pair in pairs]
    measured = {}
    for model in dict.fromkeys(side.choice.identity for side in sides):
        own = [side for side in sides if side.choice.identity == model]
        needed = [call for side in own for call in calls_of(side.release.judge, [*examples, *perturbed])]
        with open_measurer(own[0].choice, ledger, progress, needed, limit, fresh=fresh) as measurer:
            note_model(measurer.met.identity)
            for name, release, _ in own:
                title = f"{name} {release.id} on {len(examples)} held-out test examples"
                found = measurer.measure(release, examples, title)
                title = f"{name} {release.id} on {len(pairs)} perturbed pairs"
                reread, _ = measurer.judge(release, perturbed, title) if pairs else ([], None)
                measured[name] = MeasuredSide(found, reread)
    return measured

"""`bullets ablate`: a release's bullets, each held against the release without it, on labelled data of today."""

from __future__ import annotations

from typing import Any, NamedTuple

from cluster.endpoint.judges import JudgeToRun, choice_for, reach_model, release_named
from cluster.measuring.config import AblateConfig
from cluster.measuring.measure import open_measurer, summary_line
from cluster.progress import Progress
from cluster.runs.run import count_opening, open_ledger, planned_run
from judge_serve.judging.errors import RefusedInputError
from judge_serve.judging.judge_call import JudgeCall, calls_of, num_samples_of
from judge_serve.judging.program import Program
from judge_serve.judging.task import Example
from optimize_workers.dataset.splits import Dataset, draw_examples, load_dataset
from optimize_workers.evidence.ablation import BulletEffect, ablate, without_each
from optimize_workers.library.bullets import Bullet
from optimize_workers.statistics.metrics import measure


class _Named(NamedTuple):
    """What the config names, read and checked; nobody is asked for it. The first program is the release's own."""

    judge: JudgeToRun
    dataset: Dataset
    examples: tuple[Example, ...]
    programs: list[Program]

    @property
    def calls(self) -> list[JudgeCall]:
        """Each program's calls after the other's."""
        judge = self.judge.release.judge
        each = (judge.model_copy(update={"program": one}) for one in self.programs)
        return [call for one in each for call in calls_of(one, self.examples)]


def _read_named(config: AblateConfig, *, read_only: bool = False) -> _Named:
    release = release_named(config.release, read_only=read_only)
    judge = release.judge
    if not judge.program.bullets:
        raise RefusedInputError(f"release {release.id} has no bullets; there is nothing to ablate")
    choice = choice_for(release, config.model).with_max_in_flight(config.max_in_flight)
    dataset = load_dataset(config.data, judge.task.scale)
    dataset.require_split(config.split)
    examples = draw_examples(dataset.by_split[config.split], config.limit)
    return _Named(JudgeToRun(release, choice), dataset, examples, [judge.program, *without_each(judge.program)])


def plan_ablate(config: AblateConfig) -> dict[str, Any]:
    """What would be judged, as far as that is known before anybody is asked."""
    named = _read_named(config, read_only=True)
    return {
        "data": {**named.dataset.as_dict(), "split": config.split, "pairs": len(named.examples)},
        **named.judge.as_dict(),
        "judge_calls": {"at_most": num_samples_of(named.calls)},
        **planned_run(None),
    }


def run_ablate(config: AblateConfig, progress: Progress) -> dict[str, Any]:
    """Judge the release with all of its bullets and without each; effects with intervals and verdicts."""
    named = _read_named(config)
    (release, choice), dataset, examples, programs = named
    judge, calls = release.judge, named.calls
    choice = reach_model(release, choice, progress)
    limit, fresh = config.max_not_judged, config.fresh
    with open_ledger() as ledger, open_measurer(choice, ledger, progress, calls, limit, fresh=fresh) as measurer:
        count_opening(dataset, config.split, ledger, "bullets ablate", release.id)
        title = f"judging {len(examples)} {config.split} examples with and without each of {len(programs) - 1} bullets"
        judged, counts = measurer.answer(calls, title)
        met = measurer.met
        judgments = [release.calibrated(judgment) for judgment in judged]
    parts = [judgments[start : start + len(examples)] for start in range(0, len(calls), len(examples))]
    figures = measure(parts[0], examples, judge.task.scale)
    progress.note(summary_line(figures))
    effects = ablate(judge.program.bullets, parts[0], parts[1:], examples, judge.task.scale)
    return {
        "release": release.id,
        "dataset": {"path": dataset.path, "fingerprint": dataset.fingerprint, "split": config.split, "n": figures.n},
        "model": met.as_dict(),
        "nmse": figures.nmse,
        "nmse_ci95": list(figures.nmse_ci95),
        "calls": counts.calls,
        "cached": counts.cached,
        "bullets": [_shown(effect) for effect in effects],
    }


def _shown(effect: BulletEffect) -> dict[str, Any]:
    return {
        "id": Bullet(text=effect.bullet).id,
        "text": effect.bullet,
        "delta_nmse": effect.effect.delta_nmse,
        "ci95": list(effect.effect.ci95),
        "verdict": str(effect.verdict),
    }

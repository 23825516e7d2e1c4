"""`bullets ablate`: a release's bullets, each held against the release without it, on labelled data of today."""

from __future__ import annotations

from contextlib import ExitStack
from typing import Any

from cluster.endpoint.judges import choice_for
from cluster.endpoint.session import open_session
from cluster.machine.stores import open_ledger
from cluster.measuring.config import AblateConfig
from cluster.measuring.measure import summary_line, watched_by
from cluster.progress import Progress
from cluster.registry.store import resolve_release
from judge_serve.judging.errors import RefusedInputError
from judge_serve.judging.judge_call import calls_of
from judge_serve.judging.votes import sample_numbers
from judge_serve.serving.home import home
from optimize_workers.dataset.splits import draw_examples, load_dataset
from optimize_workers.evaluation.layer import Layer
from optimize_workers.evaluation.recorded import are_recorded
from optimize_workers.evaluation.voted import Voted
from optimize_workers.evidence.ablation import BulletEffect, ablate, without_each
from optimize_workers.library.bullets import Bullet
from optimize_workers.statistics.metrics import measure


def run_ablate(config: AblateConfig, progress: Progress) -> dict[str, Any]:
    """Judge the release with all of its bullets and without each; effects with intervals and verdicts."""
    release = resolve_release(config.release).release
    judge = release.judge
    if not judge.program.bullets:
        raise RefusedInputError(f"release {release.id} has no bullets; there is nothing to ablate")
    choice = choice_for(release, config.model)
    dataset = load_dataset(config.data, judge.task.scale)
    dataset.require_split(config.split)
    examples = draw_examples(dataset.by_split[config.split], config.limit)
    programs = [judge.program, *without_each(judge.program)]
    judges = [judge.model_copy(update={"program": program}) for program in programs]
    calls = [call for one in judges for call in calls_of(one, examples)]
    with open_ledger() as ledger, ExitStack() as stack:
        pool: Layer | None = None
        if not are_recorded(calls, ledger):  # a model that is not asked is not started
            pool = stack.enter_context(open_session(choice, home(), progress)).pool
        opening = ("bullets ablate", release.id)
        dataset.open_split(config.split, lambda digest: ledger.record_test_opening(digest, *opening))
        progress.phase(
            f"judging {len(examples)} {config.split} examples with and without each of {len(programs) - 1} bullets",
            len(calls) * len(sample_numbers(judge.votes)),
        )
        watched = watched_by(progress, pool, ledger)
        judgments = [release.calibrated(judgment) for judgment in Voted(watched).judge(calls)]
    parts = [judgments[start : start + len(examples)] for start in range(0, len(calls), len(examples))]
    figures = measure(parts[0], examples, judge.task.scale)
    progress.note(summary_line(figures))
    effects = ablate(judge.program.bullets, parts[0], parts[1:], examples, judge.task.scale)
    return {
        "release": release.id,
        "dataset": {"path": dataset.path, "fingerprint": dataset.fingerprint, "split": config.split, "n": figures.n},
        "nmse": figures.nmse,
        "nmse_ci95": list(figures.nmse_ci95),
        "calls": watched.counts.calls,
        "cached": watched.counts.cached,
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

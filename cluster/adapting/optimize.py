"""`optimize`: a search, its proof on the test split, and what is kept of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

from cluster.adapting.adaptation import Adaptation
from cluster.adapting.bullet_choice import keep_offered, offered_bullets
from cluster.adapting.calibration import TrainFit, calibrate_on_train, training_examples
from cluster.adapting.config import OptimizeConfig
from cluster.adapting.data_notes import crossings_of, near_copies_of, tell_nobody, title_of
from cluster.adapting.finish import Adapted, finish_adaptation
from cluster.adapting.proof import keep_winner, prove
from cluster.adapting.search import BULLETS, Search, run_search
from cluster.endpoint.judges import JudgeToRun
from cluster.endpoint.meeting import contacted, meet
from cluster.endpoint.models import ModelChoice, resolve_model
from cluster.endpoint.session import open_session
from cluster.measuring.measure import Measurer
from cluster.progress import Progress
from cluster.registry import Registry
from cluster.runs.run import begin_run, check_out, open_ledger, planned_run
from judge_serve.judging.errors import RefusedInputError
from judge_serve.judging.judge import Judge
from judge_serve.judging.judge_call import calls_of, num_samples_of
from judge_serve.judging.judge_file import load_judge_file
from judge_serve.judging.release import Release
from judge_serve.serving.home import home
from optimize_workers.dataset.splits import Dataset, draw_examples, load_dataset
from optimize_workers.library.bullets import Bullet
from optimize_workers.study import check_study


class _Named(NamedTuple):
    """What the config names, read and checked; nobody is asked for it."""

    judge: Judge
    choice: ModelChoice
    reflection: ModelChoice | None
    dataset: Dataset
    bullets: list[Bullet]
    registry: Registry


def _read_named(config: OptimizeConfig, tell: Callable[[Dataset], None], *, read_only: bool = False) -> _Named:
    """`tell` hears of the data before they are refused; `read_only` leaves the registry as it is."""
    check_out(config.out, config.saved(), resume=config.resume)
    choice = resolve_model(config.model).with_max_in_flight(config.max_in_flight)
    reflection = resolve_model(config.reflection_model) if config.reflection_model else None
    _check_prices(config, choice, reflection)
    judge = load_judge_file(config.judge).judge(choice.identity, config.mode, choice.control_tokens)
    bullets = offered_bullets(config.out, config.bullets, resume=config.resume) if config.optimizer == BULLETS else []
    dataset = load_dataset(config.data, judge.task.scale)
    dataset.require_split("test")
    tell(dataset)
    dataset.require_unseen(judge.program.demonstrations)
    check_study(dataset.for_optimizers(judge.program.demonstrations), config.budget)
    registry = Registry(home(), read_only=read_only)
    registry.check_reachable()  # stores that cannot be reached are told before the search, not after it
    return _Named(judge, choice, reflection, dataset, bullets, registry)


def plan_optimize(config: OptimizeConfig) -> dict[str, Any]:
    """What would be searched and proven, as far as that is known before anybody is asked."""
    judge, choice, reflection, dataset, bullets, _ = _read_named(config, tell_nobody, read_only=True)
    held_out = draw_examples(dataset.by_split["test"], config.limit or None)
    fitted = training_examples(judge, dataset) if config.calibrate else ()
    proof, calibration = 2 * num_samples_of(calls_of(judge, held_out)), num_samples_of(calls_of(judge, fitted))
    steps = [f"each step of the choice is measured on the {len(held_out)} held-out pairs, too"] if bullets else []
    release = Release(name=judge.task.name, judge=judge)
    budget = {"judge_calls": config.budget, "max_tokens": config.max_tokens, "max_usd": config.max_usd}
    calls = {"search": config.budget, "calibration": calibration, "proof": proof}
    return {
        "data": {**dataset.as_dict(), "held_out": len(held_out)},
        **JudgeToRun(release, choice).as_dict(is_release=False),
        "reflection_model": reflection.as_dict() if reflection else None,
        "optimizer": {"name": config.optimizer, "seed": config.seed, "bullets": len(bullets) or None},
        "budget": budget,
        "judge_calls": {**calls, "at_most": None if steps else sum(calls.values())},
        "gate": {"changed_limits": config.rules.model_dump(exclude_defaults=True)},
        **planned_run(config.out, resume=config.resume),
        "notes": [*crossings_of(dataset), *near_copies_of(dataset), *steps],
    }


def run_optimize(config: OptimizeConfig, progress: Progress) -> dict[str, Any]:
    """One search, proven on the test split, registered; returns the content of `result.json`."""

    def tell(dataset: Dataset) -> None:
        progress.phase(title_of(dataset))
        for note in (*crossings_of(dataset), *near_copies_of(dataset)):
            progress.note(note)

    judge, choice, reflection, dataset, bullets, registry = _read_named(config, tell)
    choice = contacted(choice, progress)
    if reflection is not None:
        is_same = config.reflection_model == config.model
        reflection = choice if is_same else contacted(reflection, progress)
    judge = judge.model_copy(update={"model": choice.identity})
    with open_ledger() as ledger, open_session(choice, home(), progress, reflection=reflection) as session:
        run = begin_run("optimize", config.out, config.saved(), ledger, progress, resume=config.resume)
        if bullets:
            keep_offered(run.folder, bullets)
        fresh, baseline = config.asks_again, calls_of(judge, dataset.by_split["val"])
        met = meet(session.choice, ledger, progress, baseline, fresh=fresh)
        writer = (
            met if session.reflection is session.choice else meet(session.reflection, ledger, progress, fresh=fresh)
        )
        for one in (met, writer):
            run.note_model(one.identity)
        measurer = Measurer(session.pool, ledger, progress, met, session.found, config.max_not_judged)
        adaptation = Adaptation(judge, dataset, session, run, config, measurer, writer.identity)
        adapted = adapt_judge(adaptation, bullets)
    return run.finish(finish_adaptation(adaptation, adapted, registry))


def _check_prices(config: OptimizeConfig, *models: ModelChoice | None) -> None:
    """Raise RefusedInputError where dollars are limited and the price of a model is not known."""
    for model in models:
        if config.max_usd is not None and model is not None and config.prices_of(model.identity.name) is None:
            raise RefusedInputError(
                f"--max-usd: the price of model {model.identity.name!r} is not known; "
                f"give it by --price {model.identity.name}=PROMPT/COMPLETION, in US dollars per million tokens"
            )


def adapt_judge(adaptation: Adaptation, bullets: Sequence[Bullet] = ()) -> Adapted:
    """Search on train and val, calibrate if asked, prove the winner on the test split; `bullets` as in `run_search`."""
    judge, config = adaptation.judge, adaptation.config
    if judge.votes is not None:
        adaptation.run.progress.note(
            f"the search judges single samples; the proof combines {judge.votes.num_samples} votes"
        )
    search = run_search(replace(adaptation, judge=judge.model_copy(update={"votes": None})), bullets)
    keep_winner(adaptation, search)
    made_by = {"optimizer": config.optimizer, "seed": config.seed, "judge_calls": search.budget.used}
    fit = _calibrate_winner(adaptation, search) if config.calibrate else None
    return Adapted(search, prove(adaptation, search, made_by, fit))


def _calibrate_winner(adaptation: Adaptation, search: Search) -> TrainFit:
    winner = adaptation.judge.model_copy(update={"program": search.study.winner})
    examples = training_examples(winner, adaptation.dataset)
    fit = calibrate_on_train(winner, adaptation.dataset, examples, adaptation.measurer)
    counts = fit.counts
    adaptation.run.progress.note(
        f"{counts.calls} judge calls beside the budget, {counts.cached} of them answered by the ledger"
    )
    return fit

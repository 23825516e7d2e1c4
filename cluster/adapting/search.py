"""One search: an optimizer on train and val, within its budget, recorded in the run's folder and the ledger."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

from cluster.adapting.adaptation import Adaptation
from cluster.adapting.bullet_choice import without_held_out
from cluster.adapting.config import OptimizeConfig
from judge_serve.judging.errors import RefusedInputError
from judge_serve.judging.task import Example
from optimize_workers.evaluation.budget import Budget
from optimize_workers.evaluation.budgeted import Budgeted
from optimize_workers.evaluation.tolerated import Tolerated
from optimize_workers.evaluation.watched import Counts, Watched
from optimize_workers.guardrails import Refusal
from optimize_workers.library.bullets import Bullet
from optimize_workers.optimizers import load_optimizer
from optimize_workers.reflection import ReflectionModel, Reflector
from optimize_workers.study import MIN_VALIDITY, Optimizer, Study, StudyResult, Trial

BULLETS = "bullets"  # the optimizer that leaves the program as it is


class Validation(NamedTuple):
    """Validation examples of a search and the winner's NMSE on them."""

    examples: tuple[Example, ...]
    nmse: float


class Spending(NamedTuple):
    """What a search asked: judge calls and reflections, and how many of them the ledger answered."""

    judging: Counts
    reflections: int
    reflections_cached: int


class Search(NamedTuple):
    """What a search came to; `refusal` is what the guardrails say about the winner's instruction."""

    study: StudyResult
    budget: Budget
    spending: Spending
    validation: Validation
    refusal: Refusal | None = None


def run_search(adaptation: Adaptation, bullets: Sequence[Bullet] = ()) -> Search:
    """Search on train and val; the test split stays closed.

    `bullets` are what a search that only chooses them chooses from.
    """
    judge, dataset, session = adaptation.judge, adaptation.dataset, adaptation.session
    run, config = adaptation.run, adaptation.config
    data = dataset.for_optimizers(judge.program.demonstrations)
    budget = Budget(config.budget, max_tokens=config.max_tokens, max_usd=config.max_usd)
    prices = config.prices_of(judge.model.name)
    watched = Watched(adaptation.measurer.recorded(), run.progress)
    tolerated = Tolerated(watched, len(data.train) + len(data.val), config.max_not_judged)
    reflect = Reflector(
        ReflectionModel(
            session.complete_reflection,
            adaptation.writer,
            session.reflection_max_tokens,
            config.prices_of(adaptation.writer.name),
        ),
        seed=config.seed,
        examples=[*dataset.by_split["train"], *data.val],  # with what the judge's own demonstrations show
        store=run.ledger,
        budget=budget,
        on_news=run.progress.reflecting,
    )
    bullets, held_out = without_held_out(bullets, dataset)
    study = Study(
        judge=judge,
        data=data,
        judging=Budgeted(tolerated, budget, prices=prices, watcher=run.progress),
        seed=config.seed,
        reflect=reflect,
        can_propose=session.can_propose,
        bullets=bullets,
        on_trial=_trial_recorder(adaptation, budget),
        on_refusal=lambda refusal: run.folder.append_line("candidates.jsonl", refusal),
        on_stage=lambda stage: run.progress.note(f"done: {stage}; {budget.used}/{budget.total} calls"),
        journal=run.study_journal,
    )
    run.progress.phase(f"optimizing with {config.optimizer}, at most {config.budget} judge calls", config.budget)
    for bullet, reason in held_out:
        study.refuse(reason, {"optimizer": BULLETS, "bullet": bullet.id, "text": bullet.text})
    found = _optimizer_of(config).run(study)
    if not any(trial.is_full for trial in found.trials):
        raise RefusedInputError("the budget ended before the baseline was measured; raise --max-tokens or --max-usd")
    spending = Spending(watched.counts, reflect.num_asked, reflect.num_cached)
    _note_search(adaptation, found, budget, spending)
    tried = next(trial for trial in found.trials if trial.is_full and trial.program == found.winner)
    validation = Validation(study.validation_examples(len(tried.examples)), 100.0 * (1.0 - tried.score))
    return Search(found, budget, spending, validation, study.guard.explain(found.winner.instruction))


def _note_search(adaptation: Adaptation, found: StudyResult, budget: Budget, spending: Spending) -> None:
    progress = adaptation.run.progress
    progress.note(
        f"{len(found.trials)} trials, {budget.used} judge calls, {spending.judging.cached} of them answered by the "
        f"ledger; refused proposals: {found.refusals or 'none'}; calls saved by racing: {found.calls_saved}"
    )
    if found.under_floor:
        progress.note(
            f"trial {found.under_floor.number} has NMSE {100 * (1 - found.under_floor.score):.1f} but validity "
            f"{found.under_floor.validity:.2f}, under the floor of {MIN_VALIDITY}: it cannot win"
        )
    if budget.has_token_limits:
        progress.note(f"the search cost {budget.used_tokens:,} tokens, {budget.used_usd:.4f} US dollars")


def _optimizer_of(config: OptimizeConfig) -> Optimizer:
    options = {} if config.max_bullets is None else {"max_bullets": config.max_bullets}
    return load_optimizer(config.optimizer)(**options)


def _trial_recorder(adaptation: Adaptation, budget: Budget) -> Callable[[Trial], None]:
    run = adaptation.run

    def record(trial: Trial) -> None:
        run.folder.append_line("candidates.jsonl", trial.as_dict())
        kind = "all" if trial.is_full else "a minibatch of"
        missing = f" ({trial.not_judged} more not judged)" if trial.not_judged else ""
        run.progress.note(
            f"trial {trial.number}: NMSE {100 * (1 - trial.score):.1f}, validity {trial.validity:.2f} "
            f"on {kind} {trial.n} {trial.split} examples{missing}; {trial.calls}/{budget.total} calls"
        )

    return record

"""The coordinator: wires data, judge, model and optimizer into runs; the composition root of measuring commands."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from typing import Any, NamedTuple

from cluster.bullet_choice import library_bullets, without_held_out
from cluster.configs import DEFAULT_JUDGE, DEFAULT_MODE, EvaluateConfig, OptimizeConfig, ServeConfig
from cluster.measure import Measured, measure_judge
from cluster.models import ModelChoice, resolve_model
from cluster.progress import Progress
from cluster.registry import Registry
from cluster.report.course import course_of
from cluster.report.html import write_report
from cluster.run_folder import RunFolder
from cluster.session import Session, open_session
from cluster.stores import open_ledger, resolve_release, study_journal
from cluster.waterfall import HeldOutStep, measure_steps, selection_as_dict
from judge_serve.judging.catalogue import EMBEDDED
from judge_serve.judging.errors import RefusedInputError
from judge_serve.judging.judge import Judge
from judge_serve.judging.judge_file import load_judge_file
from judge_serve.judging.program import Program
from judge_serve.judging.release import Release
from judge_serve.judging.task import Example
from judge_serve.serving.home import home
from optimize_workers.budget import Budget
from optimize_workers.bullets import Bullet
from optimize_workers.dataset import Dataset, draw_examples, load_dataset
from optimize_workers.evaluate import Counts, EvaluationPlane, JudgeCall, Pool, are_recorded
from optimize_workers.evidence.comparison import Comparison, compare
from optimize_workers.evidence.diff_budget import changed_outside_bullets
from optimize_workers.evidence.gate import GateResult, check_gate
from optimize_workers.ledger import Ledger
from optimize_workers.optimizers import OPTIMIZERS
from optimize_workers.optimizers.bullets import BulletOptimizer
from optimize_workers.reflection import Reflector
from optimize_workers.study import MIN_VALIDITY, Optimizer, Study, StudyResult, Trial, check_study

BULLETS = "bullets"  # the optimizer that leaves the program as it is


def run_evaluate(config: EvaluateConfig, progress: Progress) -> dict[str, Any]:
    """Measure one judge on one split; returns the content of `result.json`."""
    RunFolder.check(config.out, config.saved() if config.resume else None)
    release, choice = judge_to_run(config)
    dataset = load_dataset(config.data, release.judge.task.scale)
    examples = draw_examples(dataset.by_split[config.split], config.limit)
    _note_data(dataset, progress)
    dataset.require_split(config.split)
    calls = [JudgeCall(release.judge.program, example) for example in examples]
    with open_ledger() as ledger, ExitStack() as stack:
        pool: Pool | None = None
        if not are_recorded(calls, release.judge, ledger):  # a model that is not asked is not started
            pool = stack.enter_context(open_session(choice, home(), progress)).pool
        opening = ("evaluate", str(config.out))
        dataset.open_split(config.split, lambda digest: ledger.record_test_opening(digest, *opening))
        openings = ledger.count_test_openings(dataset.fingerprint)
        folder = RunFolder.create(config.out, config.saved(), resume=config.resume)
        ledger.record_run(str(folder.path.resolve()), "evaluate")
        title = f"judging {len(examples)} {config.split} examples with {release.judge.model.name}"
        measured = measure_judge(release, examples, pool, progress, title, ledger)
    result = {**measured.as_dict(dataset, config.split), "test_openings": openings}
    folder.write_judgments([("judge", release.id, measured.judgments, examples)])
    folder.write_json("release_document.json", {**release.model_dump(mode="json"), "digest": release.digest})
    write_report(folder, "Evaluation", [("judge", measured)], result)
    folder.write_json("result.json", result)  # written last: its presence means that the run is complete
    return result


def run_optimize(config: OptimizeConfig, progress: Progress) -> dict[str, Any]:
    """One search, proven on the test split, registered; returns the content of `result.json`."""
    if config.optimizer not in OPTIMIZERS:
        raise RefusedInputError(f"unknown optimizer {config.optimizer!r}; use one of {', '.join(OPTIMIZERS)}")
    RunFolder.check(config.out, config.saved() if config.resume else None)
    choice = resolve_model(config.model)
    reflection = resolve_model(config.reflection_model) if config.reflection_model else None
    for model in (choice, reflection):
        if config.max_usd is not None and model is not None and config.prices_of(model.identity.name) is None:
            raise RefusedInputError(
                f"--max-usd: the price of model {model.identity.name!r} is not known; "
                f"give it by --price {model.identity.name}=PROMPT/COMPLETION, in US dollars per million tokens"
            )
    judge = load_judge_file(config.judge).judge(choice.identity, config.mode)
    bullets = library_bullets(config.bullets) if config.optimizer == BULLETS else []
    dataset = load_dataset(config.data, judge.task.scale)
    dataset.require_split("test")
    _note_data(dataset, progress)
    _note_near_copies(dataset, progress)
    dataset.require_unseen(judge.program.demonstrations)
    check_study(dataset.for_optimizers(judge.program.demonstrations), config.budget)
    registry = Registry(home())
    registry.releases()  # stores that cannot be reached are told before the search, not after it
    with (
        open_ledger() as ledger,
        open_session(choice, home(), progress, ledger=ledger, reflection=reflection) as session,
    ):
        folder = RunFolder.create(config.out, config.saved(), resume=config.resume)
        ledger.record_run(str(folder.path.resolve()), "optimize")
        adapted = adapt_judge(judge, dataset, session, ledger, folder, progress, config, bullets)
    result = finish_adaptation(adapted, dataset, folder, registry, config)
    folder.write_json("result.json", result)
    return result


class Validation(NamedTuple):
    """Validation examples of a search and the winner's NMSE on them."""

    examples: tuple[Example, ...]
    nmse: float


class Spending(NamedTuple):
    """What a search asked: judge calls and reflections, and how many of them the ledger answered."""

    judging: Counts
    reflections: int
    reflections_cached: int


class Adapted(NamedTuple):
    """A search with its proof: baseline and winner measured under the same conditions on held-out examples."""

    study: StudyResult
    budget: Budget
    spending: Spending
    baseline: Measured
    winner: Measured
    comparison: Comparison
    gate: GateResult
    test_openings: int
    validation: Validation
    held_out_steps: Sequence[HeldOutStep] = ()
    overspent: str | None = None  # what a choice of bullets changed beside them


def adapt_judge(
    judge: Judge,
    dataset: Dataset,
    session: Session,
    ledger: Ledger,
    folder: RunFolder,
    progress: Progress,
    config: OptimizeConfig,
    bullets: Sequence[Bullet] = (),
) -> Adapted:
    """Search on train and val, then compare baseline and winner on the test split.

    `bullets` are what a search that only chooses them chooses from.
    """
    name = judge.task.name
    data = dataset.for_optimizers(judge.program.demonstrations)
    budget = Budget(config.budget, max_tokens=config.max_tokens, max_usd=config.max_usd)
    prices = config.prices_of(judge.model.name)
    plane = EvaluationPlane(judge, session.pool, budget, store=ledger, watcher=progress, prices=prices)
    reflect = Reflector(
        session.complete_reflection,
        session.reflection_model,
        max_tokens=session.reflection_max_tokens,
        seed=config.seed,
        examples=[*dataset.by_split["train"], *data.val],  # with what the judge's own demonstrations show
        store=ledger,
        budget=budget,
        prices=config.prices_of(session.reflection_model.name),
    )
    bullets, held_out = without_held_out(bullets, dataset)
    study = Study(
        judge=judge,
        data=data,
        plane=plane,
        budget=budget,
        seed=config.seed,
        reflect=reflect,
        can_propose=session.can_propose,
        bullets=bullets,
        on_trial=_trial_recorder(folder, progress, budget),
        on_refusal=lambda refusal: folder.append_line("candidates.jsonl", refusal),
        on_stage=lambda stage: progress.note(f"done: {stage}; {budget.used}/{budget.total} calls"),
        journal=study_journal(folder.path),
    )
    progress.phase(f"optimizing with {config.optimizer}, at most {config.budget} judge calls", config.budget)
    for bullet, reason in held_out:
        study.refuse(reason, {"optimizer": BULLETS, "bullet": bullet.id, "text": bullet.text})
    found = _optimizer_of(config).run(study)
    if not any(trial.is_full for trial in found.trials):
        raise RefusedInputError("the budget ended before the baseline was measured; raise --max-tokens or --max-usd")
    spending = Spending(plane.counts, reflect.num_asked, reflect.num_cached)
    progress.note(
        f"{len(found.trials)} trials, {budget.used} judge calls, {plane.counts.cached} of them answered by the ledger; "
        f"refused proposals: {found.refusals or 'none'}; calls saved by racing: {found.calls_saved}"
    )
    if found.under_floor:
        progress.note(
            f"trial {found.under_floor.number} has NMSE {100 * (1 - found.under_floor.score):.1f} but validity "
            f"{found.under_floor.validity:.2f}, under the floor of {MIN_VALIDITY}: it cannot win"
        )
    if budget.has_token_limits:
        progress.note(f"the search cost {budget.used_tokens:,} tokens, {budget.used_usd:.4f} US dollars")
    test = dataset.open_split("test", lambda digest: ledger.record_test_opening(digest, "optimize", str(folder.path)))
    openings = ledger.count_test_openings(dataset.fingerprint)
    examples = draw_examples(test, config.limit or None)
    if len(examples) < len(test):
        progress.note(f"comparing on {len(examples)} of {len(test)} held-out test examples; --limit 0 takes all")
    first = Release(name=name, judge=judge)
    second = Release(name=name, judge=judge.model_copy(update={"program": found.winner}), parents=(first.digest,))
    title = f"baseline on {len(examples)} held-out test examples"
    baseline = measure_judge(first, examples, session.pool, progress, title, ledger)
    if second.judge == first.judge:
        progress.note("the search found nothing better than the baseline; the winner is the baseline")
        winner = baseline
    else:
        title = f"winner on the same {len(examples)} test examples"
        winner = measure_judge(second, examples, session.pool, progress, title, ledger)
    compared = compare(baseline.judgments, winner.judgments, examples, judge.task.scale)
    selection = found.selection
    overspent = changed_outside_bullets(judge, second.judge) if selection else None

    def measure_step(number: int, program: Program) -> Measured:
        release = Release(name=name, judge=judge.model_copy(update={"program": program}), parents=(first.digest,))
        return measure_judge(release, examples, session.pool, progress, f"step {number} on the same examples", ledger)

    steps = measure_steps(selection.steps if selection else (), (baseline, winner), measure_step, judge.task.scale)
    refusal = study.guard.explain(found.winner.instruction)
    gate = check_gate(winner.figures, compared, refusal=refusal, overspent=overspent)
    search = {"optimizer": config.optimizer, "seed": config.seed, "judge_calls": budget.used}
    proven = with_evidence(winner, baseline, compared, dataset, search)
    tried = next(trial for trial in found.trials if trial.is_full and trial.program == found.winner)
    validation = Validation(study.validation_examples(tried.n), 100.0 * (1.0 - tried.score))
    return Adapted(found, budget, spending, baseline, proven, compared, gate, openings, validation, steps, overspent)


def with_evidence(
    winner: Measured, baseline: Measured, compared: Comparison, dataset: Dataset, search: dict[str, Any]
) -> Measured:
    """The winner with its release carrying the evidence: data, search, both judges' figures, their comparison."""
    evidence = {
        "dataset": {"fingerprint": dataset.fingerprint, "split": "test", "n": len(winner.examples)},
        **search,
        "baseline": _evidence_of(baseline),
        "winner": _evidence_of(winner),
        "comparison": _comparison_dict(compared),
    }
    return winner._replace(release=winner.release.model_copy(update={"evidence": evidence}))


def finish_adaptation(
    adapted: Adapted,
    dataset: Dataset,
    folder: RunFolder,
    registry: Registry,
    config: OptimizeConfig,
    more_arms: Sequence[tuple[str, Measured]] = (),
) -> dict[str, Any]:
    """Write the run's files, register the winner, log to MLflow; returns the content of `result.json`.

    `more_arms` are further judges measured on the same examples; they stand in `judgments.parquet` and the report.
    """
    release = adapted.winner.release
    result = {
        "optimizer": config.optimizer,
        "seed": config.seed,
        "budget": config.budget,
        "calls": adapted.budget.used,
        "calls_saved": adapted.study.calls_saved,
        "cached": adapted.spending.judging.cached,
        "reflections": adapted.spending.reflections,
        "reflections_cached": adapted.spending.reflections_cached,
        "baseline": adapted.baseline.as_dict(dataset, "test"),
        "winner": adapted.winner.as_dict(dataset, "test"),
        "comparison": _comparison_dict(adapted.comparison),
        "refusals": adapted.study.refusals,
        "test_openings": adapted.test_openings,
        "release": release.id,
        "gate": {"passed": adapted.gate.passed, "reasons": adapted.gate.reasons},
    }
    if adapted.study.selection:
        result |= selection_as_dict(adapted.study.selection, adapted.held_out_steps, adapted.overspent)
    arms = [("baseline", adapted.baseline), ("winner", adapted.winner), *more_arms]
    folder.write_text("release.json", release.to_json())
    folder.write_judgments([(arm, m.release.id, m.judgments, m.examples) for arm, m in arms])
    write_report(folder, f"Optimization with {config.optimizer}", arms, result, adapted.study)
    registry.register(release, gate_passed=adapted.gate.passed, gate_reasons=adapted.gate.reasons)
    registry.log_run(
        f"optimize {config.optimizer} {release.judge.model.name}",
        {"optimizer": config.optimizer, "seed": config.seed, "budget": config.budget, "release": release.id},
        {
            "baseline_nmse": adapted.baseline.figures.nmse,
            "baseline_validity": adapted.baseline.figures.validity,
            "winner_nmse": adapted.winner.figures.nmse,
            "winner_validity": adapted.winner.figures.validity,
            "calls": adapted.budget.used,
            "calls_saved": adapted.study.calls_saved,
            **{f"refused_{reason}": count for reason, count in adapted.study.refusals.items()},
        },
        [folder.path / name for name in ("release.json", "report.html", "candidates.jsonl")],
        over_calls=[(step.calls, step.figures) for step in course_of(adapted.study.trials)],
    )
    return result


def _optimizer_of(config: OptimizeConfig) -> Optimizer:
    if config.optimizer == BULLETS and config.max_bullets is not None:
        return BulletOptimizer(config.max_bullets)
    return OPTIMIZERS[config.optimizer]()


def judge_to_run(config: EvaluateConfig | ServeConfig) -> tuple[Release, ModelChoice]:
    """The release that `--release` names, or the judge file on `--model`; and how to reach its model."""
    if config.release is None:
        choice = resolve_model(config.model or EMBEDDED)
        judge = load_judge_file(config.judge or DEFAULT_JUDGE).judge(choice.identity, config.mode or DEFAULT_MODE)
        return Release(name=judge.task.name, judge=judge), choice
    release = resolve_release(config.release).release
    return release, choice_for(release, config.model)


def choice_for(release: Release, location: str | None = None) -> ModelChoice:
    """How to reach the model that a release was made for.

    Args:
        release: names the model and its revision.
        location: where the model is (`--model`), needed where the name alone does not tell, as for a folder.

    Raises: RefusedInputError if this machine knows the model by another name or revision.
    """
    model = release.judge.model
    if location is None and model.revision.startswith("folder:"):
        raise RefusedInputError(
            f"release {release.id} was made for a model folder {model.name!r}; say where by --model"
        )
    named = f"{model.revision}#{model.name}" if "://" in model.revision else model.name
    choice = resolve_model(location or named)
    if choice.identity != model:
        raise RefusedInputError(
            f"release {release.id} was made for {model.name} revision {model.revision}, "
            f"here it is {choice.identity.name} revision {choice.identity.revision}; adapt the judge to this model"
        )
    return choice


def _trial_recorder(folder: RunFolder, progress: Progress, budget: Budget) -> Callable[[Trial], None]:
    def record(trial: Trial) -> None:
        folder.append_line("candidates.jsonl", trial.as_dict())
        kind = "all" if trial.is_full else "a minibatch of"
        progress.note(
            f"trial {trial.number}: NMSE {100 * (1 - trial.score):.1f}, validity {trial.validity:.2f} "
            f"on {kind} {trial.n} {trial.split} examples; {trial.calls}/{budget.total} calls"
        )

    return record


def _evidence_of(measured: Measured) -> dict[str, Any]:
    figures = measured.figures.as_dict()
    kept = ("n", "valid", "invalid", "nmse", "nmse_ci95", "nmse_valid", "nmse_constant", "skill", "qwk", "bias")
    return {key: figures[key] for key in kept}


def _comparison_dict(compared: Comparison) -> dict[str, Any]:
    return {"delta_nmse": compared.delta_nmse, "ci95": list(compared.ci95), "p_better": compared.p_better}


def _note_data(dataset: Dataset, progress: Progress) -> None:
    sizes = ", ".join(f"{split} {len(examples)}" for split, examples in dataset.by_split.items())
    progress.phase(f"data {dataset.path}: {sizes}; fingerprint {dataset.fingerprint[:12]}")
    if dataset.crossing_docs:
        shown = ", ".join(sorted(dataset.crossing_docs)[:3])
        progress.note(
            f"{len(dataset.crossing_docs)} documents occur in more than one split, such as {shown}; "
            "they are never shown as demonstrations"
        )
    if dataset.crossing_queries:
        shown = ", ".join(sorted(dataset.crossing_queries)[:3])
        progress.note(
            f"{len(dataset.crossing_queries)} queries occur in more than one split, such as {shown}; "
            "held-out figures may flatter, split by query instead"
        )


def _note_near_copies(dataset: Dataset, progress: Progress) -> None:
    if dataset.near_copies:
        shown = ", ".join(sorted(dataset.near_copies)[:3])
        progress.note(
            f"{len(dataset.near_copies)} documents of train are near copies of documents of val or test, such as "
            f"{shown}; the search does without them"
        )

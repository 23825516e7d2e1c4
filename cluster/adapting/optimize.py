"""The coordinator: wires data, judge, model and optimizer into runs; the composition root of measuring commands."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from typing import Any

from cluster.adapting.bullet_choice import keep_offered, offered_bullets
from cluster.adapting.calibration import calibrate_on_train, training_examples
from cluster.adapting.config import EvaluateConfig, OptimizeConfig
from cluster.adapting.finish import Adapted, finish_adaptation
from cluster.adapting.proof import prove
from cluster.adapting.search import BULLETS, run_search
from cluster.endpoint.judges import judge_to_run
from cluster.endpoint.models import resolve_model
from cluster.endpoint.session import Session, open_session
from cluster.machine.stores import open_ledger
from cluster.measuring.measure import measure_judge
from cluster.measuring.repeats import Repeated, check_repeats, measure_repeatedly, repeat_calls, with_temperature
from cluster.progress import Progress
from cluster.registry.store import Registry
from cluster.report.html import write_report
from cluster.runs.folder import RunFolder
from cluster.runs.versions import made_with
from judge_serve.judging.errors import RefusedInputError
from judge_serve.judging.judge import Judge
from judge_serve.judging.judge_file import load_judge_file
from judge_serve.serving.home import home
from optimize_workers.dataset.ranked_lists import load_rankings
from optimize_workers.dataset.splits import Dataset, draw_examples, load_dataset
from optimize_workers.evaluation.layer import Layer
from optimize_workers.evaluation.recorded import are_recorded
from optimize_workers.evidence.ceiling import human_ceiling
from optimize_workers.evidence.ranking import ranking_consequence
from optimize_workers.ledger import Ledger
from optimize_workers.library.bullets import Bullet
from optimize_workers.study import check_study


def run_evaluate(config: EvaluateConfig, progress: Progress) -> dict[str, Any]:
    """Measure one judge on one split; returns the content of `result.json`."""
    RunFolder.check(config.out, config.saved() if config.resume else None)
    release, choice = judge_to_run(config)
    if config.temperature is not None:
        release = with_temperature(release, config.temperature)
    check_repeats(release.judge, config.repeats)
    dataset = load_dataset(config.data, release.judge.task.scale)
    examples = draw_examples(dataset.by_split[config.split], config.limit)
    rankings = load_rankings(config.rankings) if config.rankings else None
    _note_data(dataset, progress)
    dataset.require_split(config.split)
    calls = repeat_calls(release, examples, config.repeats or 1)
    with open_ledger() as ledger, ExitStack() as stack:
        pool: Layer | None = None
        if not are_recorded(calls, ledger):  # a model that is not asked is not started
            pool = stack.enter_context(open_session(choice, home(), progress)).pool
        opening = ("evaluate", str(config.out))
        dataset.open_split(config.split, lambda digest: ledger.record_test_opening(digest, *opening))
        openings = ledger.count_test_openings(dataset.fingerprint)
        folder = RunFolder.create(config.out, config.saved(), resume=config.resume)
        ledger.record_run(str(folder.path.resolve()), "evaluate")
        title = f"judging {len(examples)} {config.split} examples with {release.judge.model.name}"
        repeated: Repeated | None = None
        if config.repeats is None:
            measured = measure_judge(release, examples, pool, progress, title, ledger)
        else:
            repeated = measure_repeatedly(release, examples, config.repeats, pool, progress, title, ledger)
            measured = repeated.first
    result = {**measured.as_dict(dataset, config.split), "test_openings": openings, **made_with()}
    if repeated is not None:
        result["repeats"] = repeated.as_dict()
    scale = release.judge.task.scale
    human = human_ceiling(examples, scale, {"judge": measured.judgments})
    result |= {"human": human.as_dict()} if human else {}
    if rankings:
        consequence = ranking_consequence(rankings, measured.judgments, examples, scale, config.k)
        result["ranking"] = consequence.as_dict() if consequence else None
        if consequence is None:
            progress.note(f"{config.rankings}: no query that all rankings list has a labelled document that gains")
    rounds = repeated.rounds if repeated else [measured.judgments]
    folder.write_judgments([("judge", release.id, one, examples) for one in rounds])
    folder.write_json("release_document.json", {**release.model_dump(mode="json"), "digest": release.digest})
    write_report(folder, result)
    folder.write_json("result.json", result)  # written last: its presence means that the run is complete
    return result


def run_optimize(config: OptimizeConfig, progress: Progress) -> dict[str, Any]:
    """One search, proven on the test split, registered; returns the content of `result.json`."""
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
    bullets = offered_bullets(config.out, config.bullets, resume=config.resume) if config.optimizer == BULLETS else []
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
        if bullets:
            keep_offered(folder, bullets)
        adapted = adapt_judge(judge, dataset, session, ledger, folder, progress, config, bullets)
    result = finish_adaptation(adapted, dataset, folder, registry, config)
    folder.write_json("result.json", result)
    return result


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
    """Search on train and val, calibrate if asked, prove the winner on the test split; `bullets` as in `run_search`."""
    single = judge.model_copy(update={"votes": None})
    if judge.votes is not None:
        progress.note(f"the search judges single samples; the proof combines {judge.votes.num_samples} votes")
    search = run_search(single, dataset, session, ledger, folder, progress, config, bullets)
    made_by = {"optimizer": config.optimizer, "seed": config.seed, "judge_calls": search.budget.used}
    calibrating = None
    if config.calibrate:
        winner = judge.model_copy(update={"program": search.study.winner})
        examples = training_examples(winner, dataset)
        calibrating = calibrate_on_train(winner, dataset, examples, session.pool, ledger, progress)
        counts = calibrating.counts
        progress.note(f"{counts.calls} judge calls beside the budget, {counts.cached} of them answered by the ledger")
    proof = prove(
        judge, search, dataset, session, ledger, folder, progress, config.limit, made_by, calibrating, config.rules
    )
    return Adapted(search, proof)


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

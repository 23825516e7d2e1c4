"""`evaluate`: one judge measured on one split."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from cluster.adapting.config import EvaluateConfig
from cluster.adapting.data_notes import crossings_of, tell_nobody, title_of
from cluster.endpoint.judges import JudgeToRun, judge_to_run, reach_judge
from cluster.measuring.measure import Measured, open_measurer
from cluster.measuring.repeats import Repeated, check_repeats, measure_repeatedly, repeat_calls, with_temperature
from cluster.progress import Progress
from cluster.report import write_report
from cluster.runs.run import begin_run, check_out, count_opening, open_ledger, planned_run
from judge_serve.judging.judge_call import num_samples_of
from judge_serve.judging.task import Example
from optimize_workers.dataset.ranked_lists import Rankings, load_rankings
from optimize_workers.dataset.splits import Dataset, draw_examples, load_dataset
from optimize_workers.evidence.ceiling import human_ceiling
from optimize_workers.evidence.ranking import ranking_consequence


class _Named(NamedTuple):
    """What the config names, read and checked; nobody is asked for it."""

    judge: JudgeToRun
    dataset: Dataset
    examples: tuple[Example, ...]
    rankings: Rankings | None


def _read_named(config: EvaluateConfig, tell: Callable[[Dataset], None], *, read_only: bool = False) -> _Named:
    """`tell` hears of the data before they are refused; `read_only` leaves the registry as it is."""
    check_out(config.out, config.saved(), resume=config.resume)
    release, choice = judge_to_run(config, read_only=read_only)
    choice = choice.with_max_in_flight(config.max_in_flight)
    if config.temperature is not None:
        release = with_temperature(release, config.temperature)
    check_repeats(release.judge, config.repeats)
    dataset = load_dataset(config.data, release.judge.task.scale)
    tell(dataset)
    dataset.require_split(config.split)
    examples = draw_examples(dataset.by_split[config.split], config.limit)
    rankings = load_rankings(config.rankings) if config.rankings else None
    return _Named(JudgeToRun(release, choice), dataset, examples, rankings)


def plan_evaluate(config: EvaluateConfig) -> dict[str, Any]:
    """What would be measured, as far as that is known before anybody is asked."""
    named = _read_named(config, tell_nobody, read_only=True)
    calls = repeat_calls(named.judge.release.judge, named.examples, config.repeats or 1)
    return {
        "data": {**named.dataset.as_dict(), "split": config.split, "pairs": len(named.examples)},
        **named.judge.as_dict(is_release=config.release is not None),
        "judge_calls": {"at_most": num_samples_of(calls)},
        **planned_run(config.out, resume=config.resume),
        "notes": list(crossings_of(named.dataset)),
    }


def run_evaluate(config: EvaluateConfig, progress: Progress) -> dict[str, Any]:
    """Measure one judge on one split; returns the content of `result.json`."""

    def tell(dataset: Dataset) -> None:
        progress.phase(title_of(dataset))
        for note in crossings_of(dataset):
            progress.note(note)

    (release, choice), dataset, examples, rankings = _read_named(config, tell)
    release, choice = reach_judge(config, release, choice, progress)
    calls = repeat_calls(release.judge, examples, config.repeats or 1)
    limit, fresh = config.max_not_judged, config.asks_again
    with open_ledger() as ledger, open_measurer(choice, ledger, progress, calls, limit, fresh=fresh) as measurer:
        run = begin_run("evaluate", config.out, config.saved(), ledger, progress, resume=config.resume)
        run.note_model(measurer.met.identity)
        openings = count_opening(dataset, config.split, ledger, "evaluate", config.out)
        title = f"judging {len(examples)} {config.split} examples with {release.judge.model.name}"
        repeated: Repeated | None = None
        if config.repeats is None:
            measured = measurer.measure(release, examples, title)
        else:
            repeated = measure_repeatedly(measurer, release, examples, config.repeats, title)
            measured = repeated.first
    result = {**measured.as_dict(dataset, config.split), "test_openings": openings, **run.made_with()}
    if repeated is not None:
        result["repeats"] = repeated.as_dict()
    result |= _beside(measured, rankings, config, progress)
    rounds = repeated.rounds if repeated else [measured.judgments]
    run.folder.write_judgments([("judge", release.id, one, examples) for one in rounds])
    run.folder.write_json("release_document.json", {**release.model_dump(mode="json"), "digest": release.digest})
    write_report(run.folder, result)
    return run.finish(result)


def _beside(
    measured: Measured, rankings: Rankings | None, config: EvaluateConfig, progress: Progress
) -> dict[str, Any]:
    """What stands beside the figures: `human` where there are raters, `ranking` where ranked lists were given."""
    examples, scale = measured.examples, measured.release.judge.task.scale
    found: dict[str, Any] = {}
    human = human_ceiling(examples, scale, {"judge": measured.judgments})
    if human:
        found["human"] = human.as_dict()
    if rankings:
        consequence = ranking_consequence(rankings, measured.judgments, examples, scale, config.k)
        found["ranking"] = consequence.as_dict() if consequence else None
        if consequence is None:
            progress.note(f"{config.rankings}: no query that all rankings list has a labelled document that gains")
    return found

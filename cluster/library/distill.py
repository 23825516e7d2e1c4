"""`bullets distill`: a run's explanations become proposed bullets, which people accept on the review page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from cluster.endpoint.models import resolve_model
from cluster.endpoint.writer import open_writer
from cluster.library.bullets import TRAIN
from cluster.library.config import DistillConfig
from cluster.progress import Progress
from cluster.runs.recorded import LEARNING_SPLITS, RecordedRun, read_run
from cluster.runs.run import open_ledger
from judge_serve.judging.errors import RefusedInputError
from judge_serve.judging.task import Example
from optimize_workers.evidence.disagreement import compare_pairs, sample_disagreements
from optimize_workers.ledger import Ledger
from optimize_workers.library.bullets import Source
from optimize_workers.library.distillation import Distillation, Explained, distill
from optimize_workers.library.reviews import (
    Decision,
    EventKind,
    PairKey,
    Review,
    ReviewEvent,
    as_explanation,
    one_line,
    reviews_of,
)
from optimize_workers.reflection import ReflectionModel, Reflector


def run_distill(config: DistillConfig, progress: Progress) -> dict[str, Any]:
    """Make bullets of a run's explanations and propose them for review; nothing is accepted by that."""
    run = read_run(config.run, None, LEARNING_SPLITS)
    choice = resolve_model(config.reflection_model) if config.reflection_model else None
    with open_ledger() as ledger:
        explained = _explained(run, reviews_of(ledger.review_events(str(run.path))), config)
        if not explained:
            raise RefusedInputError(
                f"{config.run}: no training pair has an explanation to distill; write some in "
                f"'relevance-judge review {config.run}', or take the labels' own by --labels"
            )
        now = datetime.now(UTC)
        task, guard = run.judge.task, run.guard
        if choice is None or choice.is_weak_writer:
            found = f"{choice.identity.name} cannot write bullets" if choice else "no --reflection-model was named"
            progress.note(f"{found}: reviewers' lines are taken as they are, reasons of labels are not")
            writer = None
            done = distill(explained, task, guard, at=now)
        else:
            writer = choice.identity.name
            progress.phase(f"distilling {len(explained)} explanations with {choice.identity.name}")
            with open_writer(choice, progress) as complete:
                reflect = Reflector(
                    ReflectionModel(complete, choice.identity, choice.reflection_max_tokens),
                    examples=_shown(run.examples, explained),
                    store=ledger,
                    on_news=progress.reflecting,
                )
                done = distill(explained, task, guard, at=now, reflect=reflect, writer=writer)
        num_proposed = _propose(ledger, run, explained, done, now)
    return {
        "writer": writer,
        "explanations": len(explained),
        "proposed": num_proposed,
        "bullets": [{"id": bullet.id, **bullet.model_dump(mode="json")} for bullet in done.bullets],
        "refused": [{"text": one.text, "reason": one.refusal.reason} for one in done.refused],
    }


def _explained(run: RecordedRun, reviews: Mapping[PairKey, Review], config: DistillConfig) -> list[Explained]:
    """Open explanations of training pairs whose bullet nobody wrote yet; with `labels` also those of the labels."""
    compared = compare_pairs(run.judgments, run.examples, run.judge.task.scale)
    sampled = {one.place for one in sample_disagreements(compared, run.examples, config.limit)}
    found: dict[Source, Explained] = {}  # what was said about a pair counts once, also where the data label it twice
    for place, example in enumerate(run.examples):
        item = example.item
        review = reviews.get(PairKey(str(run.path), item.query_id, item.doc_id), Review())
        if example.split != TRAIN or review.decision is not Decision.OPEN:
            continue
        if review.explanation:
            text, author, is_line = review.explanation, review.explained_by, True
        elif config.labels and place in sampled:
            text, author, is_line = as_explanation(example.explanation), "labels", False
        else:
            continue
        if text and review.bullet in ("", one_line(text)):
            source = Source(query_id=item.query_id, doc_id=item.doc_id, explanation=text, split=example.split)
            found.setdefault(source, Explained(source, author, compared[place].gap, is_line))
    return list(found.values())


def _shown(examples: Sequence[Example], explained: Sequence[Explained]) -> list[Example]:
    """What prompts show of a document are the explanations about it: with it, a reflection on them is forgotten."""
    by_key = {(e.item.query_id, e.item.doc_id): e for e in examples}
    shown = []
    for one in explained:
        example = by_key[one.source.query_id, one.source.doc_id]
        shown.append(replace(example, item=replace(example.item, document=one.source.explanation)))
    return shown


def _propose(ledger: Ledger, run: RecordedRun, explained: Sequence[Explained], done: Distillation, at: datetime) -> int:
    """Store the lines that differ from what stands there, at each pair that they came from; returns how many."""
    by_source = {one.source: one for one in explained}
    events = []
    for bullet in done.bullets:
        for source in bullet.sources:
            one = by_source[source]
            if one.is_line and bullet.text == one_line(source.explanation):
                continue
            payload = {"text": bullet.text, **({} if one.is_line else {"explanation": source.explanation})}
            kind = EventKind.DISTILLED
            events.append(
                ReviewEvent(
                    str(run.path), source.query_id, source.doc_id, source.split, kind, payload, bullet.author, at
                )
            )
    ledger.add_review_events(events)
    return len(events)

"""Stock `dspy.GEPA` and stock `gepa.optimize` with its P x N sampling, on the landscape: what ours is compared with.

Both are used as their documentation says, with their own adapters, prompts and defaults; caches, retries, history and
logs are off. `dspy.GEPA` revises one instruction per predictor, so its program is one predictor whose instruction is
the three sections joined (three predictors would be three calls): all rules are open to every proposal, and its merge
step has nothing to do. `gepa.optimize` gets the three sections as components, a flat wave over 64 threads per batch,
and a reflection model with `batch_complete` like the library's own, ten at once.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import dspy
import gepa
from gepa.core.adapter import EvaluationBatch
from gepa.strategies.proposal_sampling import PxNSampling

from benchmarks.arms import ArmResult, Progress, Recorder, replay
from benchmarks.dspy_landscape import judging_model, prompting_model, score_of, settings, silence, student
from benchmarks.landscape import BASELINE, JUDGE, SCALE, Landscape, LandscapeConfig, rules_in
from benchmarks.landscape_engines import LandscapeJudge, LatencyConfig, Reflecting, ReflectionModel, ThreadedEngine
from judge_serve.judging import EngineReply, Example
from judge_serve.judging.judge_call import JudgeCall, build_request
from judge_serve.judging.parsing import Reading, parse_reply

BUDGET = 2_000
MINIBATCH = 8
SLOTS = 64
PARENTS, CHILDREN = 4, 2  # P x N
REFLECTIONS_AT_ONCE = 10  # gepa.lm.LM's default


def run_dspy_gepa(
    seed: int, latency: LatencyConfig, *, num_threads: int = SLOTS, max_judge_calls: int = BUDGET
) -> ArmResult:
    """One search of `dspy.GEPA`."""
    landscape = Landscape(LandscapeConfig(seed=seed))
    watcher = _Watcher(landscape)
    recorder = watcher.recorder
    engine = ThreadedEngine(LandscapeJudge(landscape, latency), SLOTS, recorder.judged)
    reflect = Reflecting(ReflectionModel(seed, latency), recorder.reflected)
    optimizer = dspy.GEPA(
        metric=_metric,
        max_metric_calls=max_judge_calls,
        reflection_minibatch_size=MINIBATCH,
        reflection_lm=prompting_model(reflect),
        num_threads=num_threads,
        track_stats=True,
        seed=seed,
        gepa_kwargs={"callbacks": [watcher]},
    )
    train, val = _to_dspy(landscape.data.train), _to_dspy(landscape.data.val)
    with silence(), settings(judging_model(engine)):
        started = time.perf_counter()
        best = optimizer.compile(student(), trainset=train, valset=val)
        wall_s = time.perf_counter() - started
    return watcher.result(
        "dspy_gepa",
        seed,
        wall_s,
        replay(recorder.jobs(reflects_at_once=False), SLOTS),
        best.signature.instructions,
        best.detailed_results.total_metric_calls,
    )


def run_gepa_pxn(
    seed: int, latency: LatencyConfig, *, num_threads: int = SLOTS, max_judge_calls: int = BUDGET
) -> ArmResult:
    """One search of `gepa.optimize` with 4 parents and 2 children each a step."""
    landscape = Landscape(LandscapeConfig(seed=seed))
    watcher = _Watcher(landscape)
    recorder = watcher.recorder
    engine = ThreadedEngine(LandscapeJudge(landscape, latency), SLOTS, recorder.judged)
    reflect = Reflecting(ReflectionModel(seed, latency), recorder.reflected)
    with ThreadPoolExecutor(num_threads) as threads, ThreadPoolExecutor(REFLECTIONS_AT_ONCE) as reflection_threads:
        list(threads.map(lambda _: time.sleep(0.01), range(num_threads)))  # starts them
        with silence():
            started = time.perf_counter()
            result = gepa.optimize(
                seed_candidate=dict(BASELINE.sections),
                trainset=list(landscape.data.train),
                valset=list(landscape.data.val),
                adapter=_Adapter(engine, threads),
                reflection_lm=_ReflectionLM(reflect, reflection_threads),
                reflection_minibatch_size=MINIBATCH,
                max_metric_calls=max_judge_calls,
                sampling_strategy=PxNSampling(PARENTS, CHILDREN),
                callbacks=[watcher],
                logger=_Quiet(),
                seed=seed,
            )
            wall_s = time.perf_counter() - started
    return watcher.result(
        "gepa_pxn",
        seed,
        wall_s,
        replay(recorder.jobs(reflects_at_once=True), SLOTS),
        _joined(result.best_candidate),
        result.total_metric_calls,
    )


class _Watcher:
    """gepa's callbacks: notes candidates as they are accepted, and where a batch ends."""

    def __init__(self, landscape: Landscape) -> None:
        self._landscape = landscape
        self._progress: list[Progress] = []
        self.recorder = Recorder()

    def on_evaluation_start(self, _event: Any) -> None:
        self.recorder.end_batch()

    def on_evaluation_end(self, _event: Any) -> None:
        self.recorder.end_batch()

    def on_valset_evaluated(self, event: Any) -> None:
        """A candidate was judged on the whole validation set."""
        self.recorder.end_batch()
        self._progress.append(Progress(self.recorder.judge_calls, 100.0 * (1.0 - event["average_score"])))

    def result(
        self, arm: str, seed: int, wall_s: float, ceiling_s: float, instruction: str, library_calls: int
    ) -> ArmResult:
        """The arm's result with the instruction that it returned."""
        return ArmResult(
            arm=arm,
            seed=seed,
            judge_calls=self.recorder.judge_calls,
            reflections=self.recorder.reflections,
            wall_s=wall_s,
            ceiling_s=ceiling_s,
            progress=tuple(self._progress),
            baseline_val_nmse=self._landscape.nmse(frozenset(), self._landscape.data.val),
            baseline_test_nmse=self._landscape.nmse(frozenset(), self._landscape.test),
            test_nmse=self._landscape.nmse(rules_in(instruction), self._landscape.test),
            rules=tuple(sorted(rules_in(instruction))),
            library_calls=library_calls,
        )


# --- dspy.GEPA ---


def _to_dspy(examples: Sequence[Example]) -> list[dspy.Example]:
    return [
        dspy.Example(
            query=e.item.query, document=e.item.document, gold=e.gold_rating, reason=e.explanation
        ).with_inputs("query", "document")
        for e in examples
    ]


def _metric(example: Any, prediction: Any, _trace: Any = None, pred_name: str | None = None, _pred: Any = None) -> Any:
    score = score_of(prediction.rating, example.gold)
    if pred_name is None:
        return score
    return dspy.Prediction(score=score, feedback=_feedback(prediction.rating, example.gold, example.reason))


# --- gepa.optimize ---


class _Adapter:
    """gepa's view of judging, as its adapter protocol asks for it."""

    propose_new_texts = None  # the library's own

    def __init__(self, engine: ThreadedEngine, threads: ThreadPoolExecutor) -> None:
        self._engine = engine
        self._threads = threads

    def evaluate(
        self, batch: list[Example], candidate: dict[str, str], capture_traces: bool = False
    ) -> EvaluationBatch[tuple[EngineReply, Reading, Example], Reading]:
        """Judge a batch with a candidate."""
        return self.batch_evaluate([(candidate, batch)])[0]

    def batch_evaluate(
        self, items: list[tuple[dict[str, str], list[Example]]], *, capture_traces: bool = True
    ) -> list[EvaluationBatch[tuple[EngineReply, Reading, Example], Reading]]:
        """Judge several batches, all of their examples in one wave over the threads."""
        judges = [JUDGE.model_copy(update={"program": BASELINE.with_sections(dict(texts))}) for texts, _ in items]
        calls = [(judge, example) for judge, (_, batch) in zip(judges, items, strict=True) for example in batch]
        replies = self._threads.map(
            lambda call: self._engine.complete(build_request(JudgeCall(call[0], call[1].item))), calls
        )
        judged = iter(
            [
                (reply, parse_reply(reply.text, reply.finish_reason, SCALE), example)
                for reply, (_, example) in zip(replies, calls, strict=True)
            ]
        )
        return [self._to_batch([next(judged) for _ in batch]) for _, batch in items]

    def make_reflective_dataset(
        self, candidate: dict[str, str], eval_batch: Any, components_to_update: list[str]
    ) -> dict[str, list[dict[str, Any]]]:
        """Records in the form that the library recommends, unreadable replies too."""
        records = [
            {
                "Inputs": {"query": example.item.query, "document": example.item.document},
                "Generated Outputs": reply.text,
                "Feedback": _feedback(reading.rating, example.gold_rating, example.explanation),
            }
            for reply, reading, example in eval_batch.trajectories
        ]
        return dict.fromkeys(components_to_update, records)

    def _to_batch(
        self, judged: list[tuple[EngineReply, Reading, Example]]
    ) -> EvaluationBatch[tuple[EngineReply, Reading, Example], Reading]:
        return EvaluationBatch(
            outputs=[reading for _, reading, _ in judged],
            scores=[score_of(reading.rating, example.gold_rating) for _, reading, example in judged],
            trajectories=judged,
            num_metric_calls=len(judged),
        )


class _ReflectionLM:
    """The reflection model in the form of `gepa.lm.LM`."""

    total_cost = 0.0  # with it gepa takes the object as it is, `batch_complete` included

    def __init__(self, reflect: Reflecting, threads: ThreadPoolExecutor) -> None:
        self._reflect = reflect
        self._threads = threads

    def __call__(self, prompt: str) -> str:
        return self._reflect(prompt)

    def batch_complete(self, messages_list: list[list[dict[str, Any]]], **_: Any) -> list[str]:
        """Several prompts at once."""
        return list(self._threads.map(self._reflect, [messages[0]["content"] for messages in messages_list]))


class _Quiet:
    """Swallows gepa's log."""

    def log(self, message: str) -> None:
        """Say nothing."""


# --- both ---


def _feedback(rating: int | None, gold: float, reason: str) -> str:
    human = f'The human rating is {gold:g}; the reason: "{reason}"'
    if rating is None:
        return f"The reply could not be read. {human}"
    gap = rating - gold
    return f"The judge said {rating}, {abs(gap):g} {'too high' if gap > 0 else 'too low'}. {human}" if gap else human


def _joined(candidate: dict[str, str]) -> str:
    return BASELINE.with_sections(dict(candidate)).instruction

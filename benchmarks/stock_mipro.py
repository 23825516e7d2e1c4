"""Stock `dspy.MIPROv2` on the landscape with demonstrations: what our MIPROv2 is compared with.

It is used as its documentation says, with its own adapter, prompts and defaults; caches, retries, history and logs are
off. Its three stages follow each other: demonstrations are bootstrapped and instructions proposed with one request
after the other, trials are evaluated one after the other, the examples of each at once. `max_errors` is
out of reach unless told otherwise: with the default, ten malformed replies end an evaluation with a score of 0.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, TypeVar

import dspy

from benchmarks.arms import ArmResult, Progress, Recorder, replay
from benchmarks.dspy_landscape import judging_model, prompting_model, score_of, settings, silence, student
from benchmarks.landscape import SCALE, Landscape, LandscapeConfig, key_of, rules_in
from benchmarks.landscape_demonstrations import Shown
from benchmarks.landscape_engines import LandscapeJudge, LatencyConfig, Reflecting, ThreadedEngine
from benchmarks.landscape_proposer import ProposingModel
from judge_serve.judging import EngineReply, EngineRequest, Example

SLOTS = 64
MINIBATCH = 35
NUM_TRIALS = 24
NUM_SETS = NUM_INSTRUCTIONS = 6
MAX_DEMONSTRATIONS = 4
STAGES = ("demonstrations", "instructions", "trials")
NEVER = 10**9  # errors
_SCORES = ("full_eval_score", "mb_score")  # in the library's log of a trial
T = TypeVar("T")


class StockSearch(NamedTuple):
    """One search: the arm's result, the best score that the library reports and those of its trials, in [0, 100]."""

    result: ArmResult
    score: float
    trial_scores: list[float]


def run_dspy_mipro(
    config: LandscapeConfig, latency: LatencyConfig, *, num_threads: int = SLOTS, metric_threshold: float | None = None
) -> ArmResult:
    """One search of `dspy.MIPROv2` that survives malformed replies."""
    return search(config, latency, num_threads=num_threads, max_errors=NEVER, metric_threshold=metric_threshold).result


def search(
    config: LandscapeConfig,
    latency: LatencyConfig,
    *,
    num_threads: int = SLOTS,
    num_trials: int = NUM_TRIALS,
    max_errors: int | None = None,
    metric_threshold: float | None = None,
) -> StockSearch:
    """One search of `dspy.MIPROv2`; where an argument is None DSPy's default holds.

    By default the library takes any reply that scores above 0 for a demonstration, with its rating; with
    `metric_threshold` only those that score as much.
    """
    landscape = Landscape(config)
    log = _StageLog()
    engine = _RememberingEngine(LandscapeJudge(landscape, latency), SLOTS, log.judged)
    judge = judging_model(engine)
    optimizer = _TimedMIPROv2(
        log,
        metric=_metric,
        prompt_model=prompting_model(Reflecting(ProposingModel(config.seed, latency), log.reflected)),
        task_model=judge,
        auto=None,
        num_candidates=NUM_SETS,
        num_threads=num_threads,
        max_bootstrapped_demos=MAX_DEMONSTRATIONS,
        max_labeled_demos=MAX_DEMONSTRATIONS,
        max_errors=max_errors,
        metric_threshold=metric_threshold,
    )
    train, val = _to_dspy(landscape.data.train), _to_dspy(landscape.data.val)
    with silence(), settings(judge):
        started = time.perf_counter()
        best = optimizer.compile(
            student(),
            trainset=train,
            valset=val,
            num_trials=num_trials,
            minibatch=True,
            minibatch_size=MINIBATCH,
            seed=config.seed + 1,  # 0 is "not given"
        )
        wall_s = time.perf_counter() - started
    result = _result_of(best, landscape, config.seed, log, engine.num_distinct, wall_s)
    scores = [logged[kind] for logged in best.trial_logs.values() for kind in _SCORES if kind in logged]
    return StockSearch(result, best.score, scores)


def _result_of(
    best: Any, landscape: Landscape, seed: int, log: _StageLog, distinct_calls: int, wall_s: float
) -> ArmResult:
    """What the library's best program came to, and what its stages asked."""
    rules = rules_in(best.signature.instructions)
    shown = [Shown(key_of(demo.document), int(demo.rating)) for demo in best.demos]
    ceilings = {
        stage: replay(recorder.jobs(reflects_at_once=False), SLOTS) for stage, recorder in log.recorders.items()
    }
    return ArmResult(
        arm="dspy_mipro",
        seed=seed,
        judge_calls=sum(recorder.judge_calls for recorder in log.recorders.values()),
        reflections=sum(recorder.reflections for recorder in log.recorders.values()),
        wall_s=wall_s,
        ceiling_s=sum(ceilings.values()),
        progress=tuple(log.progress),
        baseline_val_nmse=landscape.nmse(frozenset(), landscape.data.val),
        baseline_test_nmse=landscape.nmse(frozenset(), landscape.test),
        test_nmse=landscape.nmse(rules, landscape.test, shown),
        rules=tuple(sorted(rules)),
        library_calls=max(logged["total_eval_calls_so_far"] for logged in best.trial_logs.values()),
        demonstrations=len(shown),
        distinct_calls=distinct_calls,
        stages_s=log.stages_s,
        stage_ceilings_s=ceilings,
    )


class _RememberingEngine(ThreadedEngine):
    """Counts distinct requests: with its cache on, as by default, the library would send only those."""

    def __init__(self, judge: LandscapeJudge, slots: int, on_call: Callable[[float], None]) -> None:
        super().__init__(judge, slots, on_call)
        self._seen: set[str] = set()

    @property
    def num_distinct(self) -> int:
        """How many different requests came in."""
        return len(self._seen)

    def complete(self, request: EngineRequest) -> EngineReply:
        """See `ThreadedEngine.complete`."""
        self._seen.add(repr(request.messages))  # a set's `add` is atomic
        return super().complete(request)


class _StageLog:
    """What each stage asked, and how long it took; any thread may tell it."""

    def __init__(self) -> None:
        self.recorders = {stage: Recorder() for stage in STAGES}
        self.stages_s: dict[str, float] = {}
        self.progress: list[Progress] = []
        self._stage = STAGES[0]

    def judged(self, latency_s: float) -> None:
        """A judge call reached the engine; those of bootstrapping wait for each other."""
        recorder = self.recorders[self._stage]
        recorder.judged(latency_s)
        if self._stage == "demonstrations":
            recorder.end_batch()

    def reflected(self, latency_s: float) -> None:
        """A prompt reached the proposing model."""
        self.recorders[self._stage].reflected(latency_s)

    def timed(self, stage: str, run: Callable[..., T], *args: Any, **kwargs: Any) -> T:
        """A stage, from its start to its end."""
        self._stage = stage
        started = time.perf_counter()
        done = run(*args, **kwargs)
        self.stages_s[stage] = time.perf_counter() - started
        return done

    def batched(self, evaluate: Callable[..., Any]) -> Callable[..., Any]:
        """An evaluator whose every evaluation is a batch; full ones are noted as progress."""
        recorder = self.recorders["trials"]

        def evaluate_batch(program: Any, *, devset: list[Any], callback_metadata: dict[str, str]) -> Any:
            recorder.end_batch()
            evaluated = evaluate(program, devset=devset, callback_metadata=callback_metadata)
            if callback_metadata["metric_key"] == "eval_full":
                calls = sum(recorder.judge_calls for recorder in self.recorders.values())
                self.progress.append(Progress(calls, 100.0 - evaluated.score))
            return evaluated

        return evaluate_batch


class _TimedMIPROv2(dspy.MIPROv2):  # type: ignore[misc]  # the library ships no types
    """The library's, told of no more than where its stages begin and end."""

    def __init__(self, log: _StageLog, **options: Any) -> None:
        super().__init__(**options)
        self._log = log

    def _bootstrap_fewshot_examples(self, *args: Any, **kwargs: Any) -> Any:
        return self._log.timed("demonstrations", super()._bootstrap_fewshot_examples, *args, **kwargs)

    def _propose_instructions(self, *args: Any, **kwargs: Any) -> Any:
        return self._log.timed("instructions", super()._propose_instructions, *args, **kwargs)

    def _optimize_prompt_parameters(
        self, program: Any, instructions: Any, demonstrations: Any, evaluate: Callable[..., Any], *args: Any
    ) -> Any:
        optimize = super()._optimize_prompt_parameters
        batched = self._log.batched(evaluate)
        return self._log.timed("trials", optimize, program, instructions, demonstrations, batched, *args)


def _to_dspy(examples: Sequence[Example]) -> list[dspy.Example]:
    return [
        dspy.Example(
            query=e.item.query,
            document=e.item.document,
            rating=SCALE.nearest(e.gold_rating),
            explanation=e.explanation,
            gold=e.gold_rating,
        ).with_inputs("query", "document")
        for e in examples
    ]


def _metric(example: Any, prediction: Any, _trace: Any = None) -> float:
    return score_of(prediction.rating, example.gold)

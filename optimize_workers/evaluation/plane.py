"""The evaluation plane: judge (program, example) pairs, in order, within a budget, each of them once.

Every optimizer and comparison goes through `EvaluationPlane.evaluate`. Behind it stand a pool (Ray actors in every
path that a user runs) and a store of recorded judgments (the ledger): what is recorded is never asked again.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple, Protocol

from judge_serve.catalogue.entries import Prices
from judge_serve.judging.call_key import call_key, judge_key
from judge_serve.judging.errors import EngineError
from judge_serve.judging.judge import Judge
from judge_serve.judging.judgment import InvalidReason, Judgment
from judge_serve.judging.program import Program
from judge_serve.judging.rendering import render_messages
from judge_serve.judging.task import Example, Item
from judge_serve.judging.votes import Votes, combine, sample_numbers
from optimize_workers.evaluation.budget import Budget, Cost, CostEstimator

_FIRST_CALLS = 4  # show how the model counts tokens, before more is reserved at the worst case
_TEMPLATE_BYTES = 16  # for what a chat template puts around one message


class JudgeCall(NamedTuple):
    """One thing to judge: a program, an example, and which repetition it is."""

    program: Program
    example: Example
    occurrence: int = 0


OnDone = Callable[[Sequence[int], Sequence[Judgment]], None]
OnWait = Callable[[str], None]


class Pool(Protocol):
    """What carries out judge calls, see `workers.WorkerPool.judge`."""

    def judge(
        self,
        calls: Sequence[tuple[Judge, Item, int]],
        on_done: OnDone | None = None,
        on_wait: OnWait | None = None,
    ) -> list[Judgment]:
        """Judgments in the order of the calls; raises EngineError if an engine gave up.

        `on_done` receives places and judgments as they arrive, `on_wait` now and then what is waited for; both
        are called in the calling thread.
        """
        ...


class JudgmentStore(Protocol):
    """Recorded judgments by content key (32 bytes); implemented by the ledger."""

    def find(self, keys: Sequence[bytes]) -> dict[bytes, Judgment]:
        """Those that are recorded, marked `cached`."""
        ...

    def add(self, judgments: Sequence[tuple[bytes, Judgment]], *, revision: str) -> None:
        """Record judgments; the first of a key stays."""
        ...


class Watcher(Protocol):
    """Who is told how an evaluation goes on; implemented by `cluster.progress.Progress`."""

    def judged(self, judgments: Sequence[Judgment]) -> None:
        """Judgments came in, from an engine or from the store."""
        ...

    def waiting(self, text: str) -> None:
        """Nothing came in for some time, because of this."""
        ...

    def spent(self, calls_left: int | None, usd_left: float | None, tokens_left: int | None) -> None:
        """What is left of the budget; None where there is no limit."""
        ...


@dataclass
class Counts:
    """What a plane judged, in all: judge calls, those of them that cost nothing, tokens of the others."""

    calls: int = 0
    cached: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0


class EvaluationPlane:
    """Judges programs on the model, task and mode of one judge; any number of threads may evaluate at once.

    Args:
        judge: what is judged with; calls bring the program.
        pool: carries calls out; None where the store answers all.
        budget: what may be spent; None is no limit.
        store: answers what it holds and records the rest; None asks everything.
        watcher: told about progress.
        prices: of the judging model, where a budget counts dollars.
    """

    def __init__(
        self,
        judge: Judge,
        pool: Pool | None,
        budget: Budget | None = None,
        *,
        store: JudgmentStore | None = None,
        watcher: Watcher | None = None,
        prices: Prices | None = None,
    ) -> None:
        self.judge = judge
        self.budget = budget
        self.counts = Counts()
        self._pool = pool
        self._store = store
        self._watcher = watcher
        self._estimator = CostEstimator(prices)
        self._lock = threading.Lock()

    def evaluate(self, calls: Sequence[JudgeCall]) -> list[Judgment]:
        """Make all judge calls; judgments in the order of the calls, votes not combined.

        Raises:
            BudgetExceededError: before anything is sent; where tokens or dollars are limited and nothing is known of
                the model's tokenizer yet, after the first few calls.
            EngineError: the engine failed; no judgment of this wave may score a candidate. Those that arrived
                are in the store.
        """
        if self.budget is not None and self.budget.has_token_limits and not self._estimator.is_calibrated:
            first, calls = calls[:_FIRST_CALLS], calls[_FIRST_CALLS:]
            return [*self._evaluate(first), *self._evaluate(calls)]
        return self._evaluate(calls)

    def answer(self, calls: Sequence[JudgeCall]) -> list[Judgment]:
        """What the judge answers to all calls: its votes combined where it has any; see `evaluate` for the rest.

        Each vote is a judge call of its own, in the store and in the budget.
        """
        votes = self.judge.votes
        judgments = self.evaluate(samples_of(calls, votes))
        if votes is None:
            return judgments
        scale, count = self.judge.task.scale, votes.num_samples
        return [
            combine(judgments[place * count : (place + 1) * count], votes.combine, scale, call.occurrence)
            for place, call in enumerate(calls)
        ]

    def _evaluate(self, calls: Sequence[JudgeCall]) -> list[Judgment]:
        judges: dict[str, Judge] = {}
        for call in calls:
            if call.program.digest not in judges:
                judges[call.program.digest] = self.judge.model_copy(update={"program": call.program})
        wave = [(judges[call.program.digest], call.example.item, call.occurrence) for call in calls]
        taken = self._reserve(wave)
        self._tell_budget()
        judgments = self._ask(wave, self._tell) if self._store is None else self._recall(self._store, wave)
        self._settle(wave, judgments, taken)
        return judgments

    def _recall(self, store: JudgmentStore, wave: Sequence[tuple[Judge, Item, int]]) -> list[Judgment]:
        """Judgments from the store where it holds them; the others are asked, once each, and recorded."""
        keys = call_keys(wave)
        known = store.find(list(dict.fromkeys(keys)))
        known = {key: judgment for key, judgment in known.items() if not _is_askable(judgment)}
        if known:
            self._tell((), [known[key] for key in keys if key in known])
        asked: list[int] = []
        seen = set(known)
        for place, key in enumerate(keys):
            if key not in seen:
                seen.add(key)
                asked.append(place)

        def record(places: Sequence[int], judgments: Sequence[Judgment]) -> None:
            entries = [(keys[asked[place]], judgment) for place, judgment in zip(places, judgments, strict=True)]
            store.add(entries, revision=self.judge.model.revision)
            self._tell(places, judgments)

        fresh: dict[bytes, Judgment] = {}
        if asked:
            try:
                judged = self._ask([wave[place] for place in asked], record)
            except EngineError as error:
                raise _with_advice(error) from error
            fresh = {keys[place]: judgment for place, judgment in zip(asked, judged, strict=True)}
        judgments = []
        asked_places = set(asked)
        for place, (key, (judge, _, _)) in enumerate(zip(keys, wave, strict=True)):
            judgment = known[key] if key in known else fresh[key]
            is_repeated = key in fresh and place not in asked_places
            if is_repeated or judgment.program != judge.program.digest:  # another program may render the same prompt
                judgment = replace(judgment, program=judge.program.digest, cached=judgment.cached or is_repeated)
            if is_repeated:
                self._tell((), [judgment])
            judgments.append(judgment)
        return judgments

    def _ask(self, wave: Sequence[tuple[Judge, Item, int]], on_done: OnDone) -> list[Judgment]:
        if self._pool is None:
            raise EngineError(f"{len(wave)} judgments are not recorded and there is no engine to ask; run it again")
        return self._pool.judge(wave, on_done, self._wait)

    def _reserve(self, wave: Sequence[tuple[Judge, Item, int]]) -> Cost:
        if self.budget is None:
            return Cost(len(wave))
        if not self.budget.has_token_limits:
            return self.budget.reserve(len(wave))
        worst = [
            self._estimator.worst(prompt_bytes(judge, item), judge.max_completion_tokens) for judge, item, _ in wave
        ]
        for cost in worst:
            self.budget.note_worst_call(cost)
        total = Cost(len(wave), sum(cost.tokens for cost in worst), sum(cost.usd for cost in worst))
        return self.budget.reserve(len(wave), total)

    def _settle(self, wave: Sequence[tuple[Judge, Item, int]], judgments: Sequence[Judgment], taken: Cost) -> None:
        with self._lock:
            self.counts.calls += len(judgments)
            self.counts.cached += sum(judgment.cached for judgment in judgments)
            self.counts.prompt_tokens += sum(judgment.prompt_tokens for judgment in judgments if not judgment.cached)
            self.counts.completion_tokens += sum(j.completion_tokens for j in judgments if not j.cached)
        if self.budget is None:
            return
        if self.budget.has_token_limits:
            costs = [self._estimator.cost(j.prompt_tokens, j.completion_tokens) for j in judgments]
            spent = Cost(len(wave), sum(cost.tokens for cost in costs), sum(cost.usd for cost in costs))
            self.budget.settle(taken, spent)
            for (judge, item, _), judgment in zip(wave, judgments, strict=True):
                self._estimator.learn(prompt_bytes(judge, item), judgment.prompt_tokens, judgment.completion_tokens)
        self._tell_budget()

    def _tell_budget(self) -> None:
        if self._watcher and self.budget is not None:
            self._watcher.spent(self.budget.left, self.budget.usd_left, self.budget.tokens_left)

    def _tell(self, _places: Sequence[int], judgments: Sequence[Judgment]) -> None:
        if self._watcher:
            self._watcher.judged(judgments)

    def _wait(self, text: str) -> None:
        if self._watcher:
            self._watcher.waiting(text)


def samples_of(calls: Sequence[JudgeCall], votes: Votes | None) -> list[JudgeCall]:
    """The judge calls behind the calls of a judge that votes, those of one call next to each other."""
    return [call._replace(occurrence=number) for call in calls for number in sample_numbers(votes, call.occurrence)]


def call_keys(wave: Sequence[tuple[Judge, Item, int]]) -> list[bytes]:
    """Content keys of judge calls, in their order."""
    shared: dict[int, bytes] = {}
    keys = []
    for judge, item, occurrence in wave:
        if id(judge) not in shared:
            shared[id(judge)] = judge_key(judge)
        keys.append(call_key(shared[id(judge)], item, occurrence))
    return keys


def are_recorded(calls: Sequence[JudgeCall], judge: Judge, store: JudgmentStore) -> bool:
    """Whether the store answers all calls, with all votes of the judge, so that no engine is needed."""
    calls = samples_of(calls, judge.votes)
    wave = [(judge.model_copy(update={"program": call.program}), call.example.item, call.occurrence) for call in calls]
    keys = set(call_keys(wave))
    known = store.find(list(keys))
    return len(known) == len(keys) and not any(_is_askable(judgment) for judgment in known.values())


def _is_askable(judgment: Judgment) -> bool:
    """Whether a recorded judgment is asked again: a replica with a longer context may read the prompt."""
    return judgment.invalid_reason is InvalidReason.PROMPT_TOO_LONG


def prompt_bytes(judge: Judge, item: Item) -> int:
    """Bytes of all that a judge call sends as prompt, the chat template's own tokens counted as a few bytes each."""
    messages = render_messages(judge.task, judge.program, judge.mode, item)
    return sum(len(message["content"].encode("utf-8", "replace")) + _TEMPLATE_BYTES for message in messages)


def _with_advice(error: EngineError) -> EngineError:
    return error.with_advice("what was judged is recorded, the same command goes on from there")

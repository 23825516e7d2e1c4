"""Fakes at the seams: an engine, a pool and a Serve handle that answer from a script, without a model or Ray.

Engine and handle are picklable as long as their script is, so that Ray actors can hold them.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Coroutine, Generator, Sequence
from dataclasses import replace
from typing import Any

from judge_serve.judging import Engine, EngineReply, EngineRequest, Judgment, RetryPolicy, judge_pair
from judge_serve.judging.judge_call import JudgeCall
from judge_serve.judging.judge_pair import not_judged
from optimize_workers.evaluation.layer import OnDone
from optimize_workers.reflection import Reflection

Answer = EngineReply | str | Exception
Script = Callable[[EngineRequest], Answer] | Sequence[Answer]


def json_reply(rating: object, explanation: object = "because") -> str:
    """A reply as the answer line asks for."""
    return json.dumps({"rating": rating, "explanation": explanation})


def rate_three(_request: EngineRequest) -> Answer:
    """A script: every item is a 3."""
    return json_reply(3)


class ScriptedEngine:
    """Engine that answers from a function of the request, or from a list in the order of calls.

    A text becomes a finished reply of 10 prompt tokens and 1 completion token; an exception is raised. A list
    that has run out fails the test.
    """

    def __init__(self, script: Script = rate_three, model: str = "scripted", delay_s: float = 0.0) -> None:
        self._script = script
        self._model = model
        self._delay_s = delay_s
        self.requests: list[EngineRequest] = []
        self.is_closed = False

    @property
    def model(self) -> str:
        """Name of the model that answers."""
        return self._model

    @property
    def calls(self) -> int:
        """How many requests came in."""
        return len(self.requests)

    async def complete(self, request: EngineRequest) -> EngineReply:
        """See `Engine.complete`."""
        number = len(self.requests)
        self.requests.append(request)
        await asyncio.sleep(self._delay_s)
        if callable(self._script):
            answer = self._script(request)
        else:
            assert number < len(self._script), f"the script holds {len(self._script)} answers, this is one call more"
            answer = self._script[number]
        if isinstance(answer, Exception):
            raise answer
        if isinstance(answer, str):
            return EngineReply(answer, "stop", prompt_tokens=10, completion_tokens=1)
        return answer

    async def close(self) -> None:
        """See `Engine.close`."""
        self.is_closed = True


class InProcessPool:
    """Pool that judges in this process; see `optimize_workers.evaluation.layer.Layer`.

    Args:
        engine: asked once for each call.
        is_poisoned: of which calls nothing comes back but that they were not judged.
    """

    def __init__(self, engine: Engine, is_poisoned: Callable[[JudgeCall], bool] = lambda call: False) -> None:
        self._engine = engine
        self.is_poisoned = is_poisoned
        self.waves: list[int] = []

    @property
    def calls(self) -> int:
        """How many judge calls came in."""
        return sum(self.waves)

    def judge(self, calls: Sequence[JudgeCall], on_done: OnDone | None = None) -> list[Judgment]:
        """See `Layer.judge`; the engine gets one attempt per call."""
        self.waves.append(len(calls))

        async def judge_all() -> list[Judgment]:
            return list(await asyncio.gather(*map(self._judge, calls)))

        judgments = asyncio.run(judge_all())
        if on_done:
            on_done(range(len(judgments)), judgments)
        return judgments

    async def _judge(self, call: JudgeCall) -> Judgment:
        if self.is_poisoned(call):
            return not_judged(call, "endpoint x answered 500 (while others were answered)")
        return await judge_pair(call, self._engine, retry=RetryPolicy(attempts=1))


class MemoryStore:
    """Store of judgments and reflections in a dictionary; see `JudgmentStore` and `ReflectionStore`."""

    def __init__(self) -> None:
        self.judgments: dict[bytes, Judgment] = {}
        self.reflections: dict[bytes, Reflection] = {}
        self.doc_ids: dict[bytes, list[str]] = {}
        self.finds = 0

    def find(self, keys: Sequence[bytes]) -> dict[bytes, Judgment]:
        """See `JudgmentStore.find`."""
        self.finds += 1
        return {key: replace(self.judgments[key], cached=True) for key in keys if key in self.judgments}

    def add(self, judgments: Sequence[tuple[bytes, Judgment]], *, revision: str) -> None:
        """See `JudgmentStore.add`."""
        for key, judgment in judgments:
            self.judgments.setdefault(key, judgment)

    def find_reflection(self, key: bytes) -> Reflection | None:
        """See `ReflectionStore.find_reflection`."""
        return self.reflections.get(key)

    def add_reflection(
        self, key: bytes, reflection: Reflection, *, model: str, revision: str, doc_ids: Sequence[str]
    ) -> None:
        """See `ReflectionStore.add_reflection`."""
        self.reflections.setdefault(key, reflection)
        self.doc_ids[key] = list(doc_ids)


class Watching:
    """Watcher that remembers what it was told; see `optimize_workers.evaluation.watched.Watcher`."""

    def __init__(self) -> None:
        self.judgments: list[Judgment] = []
        self.waits: list[str] = []
        self.budgets: list[tuple[int | None, float | None, int | None]] = []

    def judged(self, judgments: Sequence[Judgment]) -> None:
        """See `Watcher.judged`."""
        self.judgments += judgments

    def waiting(self, text: str) -> None:
        """See `Watcher.waiting`."""
        self.waits.append(text)

    def spent(self, calls_left: int | None, usd_left: float | None, tokens_left: int | None) -> None:
        """See `Watcher.spent`."""
        self.budgets.append((calls_left, usd_left, tokens_left))


class FakeHandle:
    """Handle of a `JudgeModel` deployment: `handle.complete.remote(body)` returns an awaitable body."""

    def __init__(self, script: Callable[[dict[str, Any]], Any], delay_s: float = 0.0) -> None:
        self._script = script
        self._delay_s = delay_s
        self.bodies: list[dict[str, Any]] = []
        self.num_cancelled = 0

    @property
    def complete(self) -> FakeHandle:
        """The method handle."""
        return self

    def remote(self, body: dict[str, Any]) -> FakeResponse:
        """Answer one body; an exception is raised."""
        self.bodies.append(body)
        return FakeResponse(self, self._answer(body))

    async def _answer(self, body: dict[str, Any]) -> Any:
        await asyncio.sleep(self._delay_s)
        answer = self._script(body)
        if isinstance(answer, Exception):
            raise answer
        return answer


class FakeResponse:
    """Response of a handle: awaited once, or cancelled."""

    def __init__(self, handle: FakeHandle, answer: Coroutine[Any, Any, Any]) -> None:
        self._handle = handle
        self._answer = answer

    def __await__(self) -> Generator[Any, None, Any]:
        """The answer."""
        return self._answer.__await__()

    def cancel(self) -> None:
        """Tell the replica that nobody waits any more."""
        self._handle.num_cancelled += 1

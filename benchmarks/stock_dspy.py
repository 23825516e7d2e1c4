"""Stock `dspy.Evaluate` over `dspy.Predict` with JSONAdapter on the simulated engine: what we are compared with."""

from __future__ import annotations

import inspect
import logging
from collections.abc import Sequence
from typing import Any

import dspy
from dspy.lm15 import Message, Request, Response, TextPart, Usage

from benchmarks.simulated_engine import SimulatedEngine
from judge_serve.judging import Example, Scale
from judge_serve.judging.engine import EngineReply, EngineRequest

MAX_TOKENS = 128


class StockEngine:
    """DSPy engine over the simulated engine without latency."""

    def __init__(self, engine: SimulatedEngine) -> None:
        self._engine = engine
        self.calls = 0
        self.prompt_tokens = 0

    def complete(self, request: Request) -> Response:
        """Answer one request in the calling thread."""
        system = request.system if isinstance(request.system, str) else ""
        turns = [{"role": message.role, "content": message.text or ""} for message in request.messages]
        answer = self._engine.complete(
            EngineRequest(({"role": "system", "content": system}, *turns), max_tokens=MAX_TOKENS)
        )
        reply = _run_without_waiting(answer)
        self.calls += 1
        self.prompt_tokens += reply.prompt_tokens
        return Response(
            id=None,
            model="simulated",
            message=Message.assistant([TextPart(reply.text)]),
            finish_reason="stop",
            usage=Usage(),
        )

    def close(self) -> None:
        """Nothing to release."""


class StockEvaluate:
    """Evaluates a predictor with the instruction; cache, retries and history are off."""

    def __init__(self, engine: SimulatedEngine, instruction: str, scale: Scale) -> None:
        self._engine = StockEngine(engine)
        self._span = scale.maximum - scale.minimum
        logging.getLogger("dspy").setLevel(logging.CRITICAL)
        lm = dspy.LM("simulated", engine=self._engine, cache=False, num_retries=0)
        dspy.configure(lm=lm, adapter=dspy.JSONAdapter(), disable_history=True, track_usage=False)
        signature = dspy.Signature("query: str, document: str -> rating: int, explanation: str", instruction)
        self._program = dspy.Predict(signature)

    @property
    def prompt_tokens_mean(self) -> float:
        """Tokens of the prompts that DSPy rendered, on average."""
        return self._engine.prompt_tokens / max(1, self._engine.calls)

    def run(self, examples: Sequence[Example], num_threads: int) -> float:
        """Score of the predictor on the examples, as DSPy computes it."""
        devset = [
            dspy.Example(query=e.item.query, document=e.item.document, gold=e.gold_rating).with_inputs(
                "query", "document"
            )
            for e in examples
        ]
        evaluate = dspy.Evaluate(
            devset=devset,
            metric=self._score,
            num_threads=num_threads,
            display_progress=False,
            max_errors=len(devset) + 1,  # stock gives up after ten malformed replies otherwise
            provide_traceback=False,
        )
        return float(evaluate(self._program).score)

    def _score(self, example: Any, prediction: Any, *_: Any) -> float:
        return 1.0 - ((float(prediction.rating) - float(example.gold)) / self._span) ** 2


def _run_without_waiting(answer: Any) -> EngineReply:
    """Result of a coroutine that never waits, without an event loop."""
    assert inspect.iscoroutine(answer)
    try:
        answer.send(None)
    except StopIteration as done:
        reply: EngineReply = done.value
        return reply
    raise AssertionError("the engine waited; this arm needs one without latency")

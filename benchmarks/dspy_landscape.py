"""The landscape's models behind DSPy's model interface, and what every stock DSPy arm does the same way."""

from __future__ import annotations

import contextlib
import logging
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import dspy
from dspy.lm15 import Message, Request, Response, TextPart, Usage

from benchmarks.landscape import BASELINE, JUDGE, SCALE
from benchmarks.landscape_engines import Reflecting, ThreadedEngine
from judge_serve.judging import EngineRequest


class _DspyEngine:
    """DSPy engine over a function from request to text."""

    def __init__(self, answer: Callable[[Request], str]) -> None:
        self._answer = answer

    def complete(self, request: Request) -> Response:
        """Answer one request in the calling thread."""
        return Response(
            id=None,
            model="landscape",
            message=Message.assistant([TextPart(self._answer(request))]),
            finish_reason="stop",
            usage=Usage(),
        )

    def close(self) -> None:
        """Nothing to release."""


def language_model(answer: Callable[[Request], str]) -> dspy.LM:
    """A DSPy model that answers by a function; no cache, no retries."""
    return dspy.LM("landscape", engine=_DspyEngine(answer), cache=False, num_retries=0)


def judging_model(engine: ThreadedEngine) -> dspy.LM:
    """The landscape's judge as a DSPy model."""
    return language_model(
        lambda request: (
            engine.complete(EngineRequest(tuple(_turns(request)), max_tokens=JUDGE.sampling.max_tokens)).text
        )
    )


def prompting_model(reflect: Reflecting) -> dspy.LM:
    """The model that writes instructions as a DSPy model; it sees all turns as one text."""
    return language_model(lambda request: reflect(prompt_of(request)))


def prompt_of(request: Request) -> str:
    """All turns of a request as one text."""
    return "\n\n".join(turn["content"] for turn in _turns(request))


def student() -> dspy.Predict:
    """The baseline: one predictor with the three sections as its instruction."""
    return dspy.Predict(
        dspy.Signature("query: str, document: str -> rating: int, explanation: str", BASELINE.instruction)
    )


def settings(judge: dspy.LM) -> contextlib.AbstractContextManager[None]:
    """DSPy judges with a model in JSON; history and usage are off: they would be timed."""
    context: contextlib.AbstractContextManager[None] = dspy.context(
        lm=judge, adapter=dspy.JSONAdapter(), disable_history=True, track_usage=False
    )
    return context


def score_of(rating: int | None, gold: float) -> float:
    """Score of a reply: 1 - (gap / 4)^2, 0 where it could not be read."""
    return 0.0 if rating is None else 1.0 - ((rating - gold) / SCALE.width) ** 2


@contextlib.contextmanager
def silence() -> Iterator[None]:
    """No logs and no progress bars: they would be timed."""
    logging.getLogger("dspy").setLevel(logging.CRITICAL)
    with (
        Path(os.devnull).open("w") as nowhere,
        contextlib.redirect_stdout(nowhere),
        contextlib.redirect_stderr(nowhere),
    ):
        yield


def _turns(request: Request) -> list[dict[str, str]]:
    system = request.system if isinstance(request.system, str) else ""
    return [
        {"role": "system", "content": system},
        *({"role": message.role, "content": message.text or ""} for message in request.messages),
    ]

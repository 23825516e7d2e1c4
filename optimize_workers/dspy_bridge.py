"""Bridge to DSPy: programs and examples in its terms, and the reflection model as a DSPy language model."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import dspy
from dspy.lm15 import Message, Request, Response, TextPart, Usage

from judge_serve.judging.program import Demonstration, Program
from judge_serve.judging.task import Example, Task

WHOLE_INSTRUCTION = "instruction"  # section that holds an instruction proposed as one text


class ReflectionEngine:
    """DSPy engine over a text-in, text-out reflection model."""

    def __init__(self, reflect: Callable[[str], str]) -> None:
        self._reflect = reflect

    def complete(self, request: Request) -> Response:
        """Answer one request with its turns joined to one prompt."""
        system = request.system if isinstance(request.system, str) else ""
        prompt = "\n\n".join(part for part in [system, *(message.text or "" for message in request.messages)] if part)
        return Response(
            id=None,
            model="reflection",
            message=Message.assistant([TextPart(self._reflect(prompt))]),
            finish_reason="stop",
            usage=Usage(),
        )

    def close(self) -> None:
        """Nothing to release."""


def reflection_lm(reflect: Callable[[str], str]) -> dspy.LM:
    """The reflection model for DSPy's proposers: no cache, no hidden retry."""
    return dspy.LM("reflection", engine=ReflectionEngine(reflect), cache=False, num_retries=0)


def to_student(task: Task, program: Program) -> dspy.Predict:
    """A predictor that carries instruction and demonstrations; DSPy never renders or parses with it."""
    signature = dspy.Signature("query: str, document: str -> rating: int, explanation: str", program.instruction)
    return dspy.Predict(signature)


def to_dspy_examples(examples: Sequence[Example]) -> list[dspy.Example]:
    """Examples in DSPy's form, for its data summary."""
    return [
        dspy.Example(
            query=e.item.query, document=e.item.document, rating=e.gold_rating, explanation=e.explanation
        ).with_inputs("query", "document")
        for e in examples
    ]


def to_dspy_demonstrations(demonstrations: Sequence[Demonstration]) -> list[dspy.Example]:
    """Demonstrations in DSPy's form."""
    return [dspy.Example(**demonstration.model_dump()) for demonstration in demonstrations]


def to_program(baseline: Program, instruction: str, demonstrations: Sequence[dict[str, Any]]) -> Program:
    """The program of an instruction and demonstrations; the baseline's own sections where the text is its own."""
    sections = baseline.sections if instruction == baseline.instruction else {WHOLE_INSTRUCTION: instruction}
    return Program(
        sections=sections,
        bullets=baseline.bullets,
        demonstrations=tuple(Demonstration.model_validate(dict(shown)) for shown in demonstrations),
    )

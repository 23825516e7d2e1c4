"""Proposing instructions as MIPROv2 does: from a summary of the data, the judge's frozen parts, solved pairs and a tip.

Batches of training pairs are looked at at once, then summarised; then all instructions are written at once. Prompts
and replies have the form of DSPy's `ChatAdapter`; a reply without the asked field is refused, alone.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any, NamedTuple

import dspy
import numpy as np
from dspy.utils.exceptions import AdapterParseError

from judge_serve.judging.judgment import AnswerMode
from judge_serve.judging.program import Program
from judge_serve.judging.rendering import answer_line, render_scale
from judge_serve.judging.task import Example
from optimize_workers.guardrails import Refusal, refusal_to_write
from optimize_workers.study import Study

BATCH_SIZE = 10  # training pairs looked at together
MAX_BATCHES = 10
_MAX_QUERY_CHARS = 200
_MAX_DOCUMENT_CHARS = 400
_MAX_REASON_CHARS = 200
ADVICE = "advice"  # section that a fixed variant adds
_NONE = "There is none."
_TIPS = (
    "Keep it short: a few plain sentences.",
    "Say which questions to ask about a document, one after the other, before deciding.",
    "Say what separates ratings that lie next to each other on the scale.",
    "Write it as for a new colleague who is careful but has never judged anything.",
    "Name the mistakes that are easily made with such pairs, and how to avoid them.",
    "Be explicit about what an answer looks like, and what does not belong into it.",
)
_FIRST_DECIDE = "First decide what the person who typed the query needs, then check whether the document gives it."
_SHORT = "Keep the explanation short: one sentence of at most fifteen words."
_VARIANTS = {  # for models that cannot write instructions
    AnswerMode.GENERATE: (
        "Write the JSON object on one line: start with an opening brace, end with a closing brace.",
        _SHORT,
        _FIRST_DECIDE,
    ),
    AnswerMode.GUIDED: (_SHORT, _FIRST_DECIDE),
    AnswerMode.EXPECTED: (_FIRST_DECIDE, "Weigh the two ratings that come closest against each other."),
}


class _Observe(dspy.Signature):
    """Write down what holds for most of these pairs of a query and a document, which people have rated.

    Say what kinds of queries and documents there are, and why people rate them as they do. Write at most five plain
    sentences. Quote nothing, and name nothing that occurs in a single pair only.
    """

    task: str = dspy.InputField(desc="what the ratings are for")
    pairs: str = dspy.InputField(desc="pairs with people's ratings and reasons")
    observations: str = dspy.OutputField(desc="what holds for most of them")


class _Summarise(dspy.Signature):
    """Sum up these observations, which were made about parts of a data set, in three plain sentences."""

    observations: str = dspy.InputField(desc="made about one part after the other")
    summary: str = dspy.OutputField(desc="what matters most in them")


class _Propose(dspy.Signature):
    """Write a better instruction for a judge, a language model that rates how relevant a document is to a query.

    The new instruction
    - gives general rules that hold for queries and documents which nobody has seen yet;
    - holds nothing of the pairs shown: no names, numbers, quotations or topics of theirs, no rule for a single one;
    - keeps the task, the scale, the form of the answer and all their meanings; these are added to it whenever the
      judge is asked, so it does not repeat them;
    - is plain text without tags, code fences and placeholders.
    """

    task: str = dspy.InputField(desc="what the ratings are for")
    frozen_parts: str = dspy.InputField(desc="what is added to every instruction and cannot be changed")
    data_summary: str = dspy.InputField(desc="what is known about the queries and documents")
    solved_pairs: str = dspy.InputField(desc="some pairs with people's ratings and reasons")
    current_instruction: str = dspy.InputField(desc="the instruction as it is today")
    tip: str = dspy.InputField(desc="how to go about it this time")
    proposed_instruction: str = dspy.OutputField(desc="the new instruction, whole")


class Proposed(NamedTuple):
    """A text that was proposed, or why there is none, and the number of the proposal, from 1."""

    number: int
    text: str | Refusal


def propose_instructions(
    study: Study, shown: Sequence[Sequence[Example]], num_proposals: int, threads: ThreadPoolExecutor
) -> list[Proposed]:
    """Instructions by the reflection model, not yet held against the guardrails.

    Args:
        study: its reflection model writes, about its training examples.
        shown: sets of training examples, taken in turn; may be empty.
        num_proposals: how many are written; each gets another tip, as far as there are tips.
        threads: in which the model is waited for; with as many as `MAX_BATCHES` and `num_proposals` all go at once.

    Raises:
        EngineError: the reflection model does not answer.
        BudgetExceededError: tokens or dollars ran out.
    """
    task = study.judge.task
    summary = _summarise(study, threads)
    tips = np.random.default_rng([study.seed, 5]).permutation(len(_TIPS))
    frozen = f"{render_scale(task.scale)}\n\n{answer_line(task.scale, study.judge.mode)}"
    if study.judge.program.bullets:
        frozen += "\n\nGuidelines:\n" + "\n".join(f"- {bullet}" for bullet in study.judge.program.bullets)

    def propose(number: int) -> Proposed:
        pairs = shown[(number - 1) % len(shown)] if shown else ()
        text = _ask(
            study.reflect,
            _Propose,
            task=task.description,
            frozen_parts=frozen,
            data_summary=summary,
            solved_pairs=render_pairs(pairs) or _NONE,
            current_instruction=study.judge.program.instruction,
            tip=f"{_TIPS[tips[number % len(_TIPS)]]} (Proposal {number}.)",
        )
        return Proposed(number, text)

    return list(threads.map(propose, range(1, num_proposals + 1)))


def fixed_variants(study: Study) -> list[Program]:
    """The baseline with a section more: honest variants, for reflection models that cannot write any."""
    baseline = study.judge.program
    return [baseline.with_sections({**baseline.sections, ADVICE: text}) for text in _VARIANTS[study.judge.mode]]


def render_pairs(examples: Sequence[Example]) -> str:
    """Rated pairs as a proposing model is shown them, long texts cut."""
    return "\n\n".join(
        f"query: {_shorten(e.item.query, _MAX_QUERY_CHARS)}\n"
        f"document: {_shorten(e.item.document, _MAX_DOCUMENT_CHARS)}\n"
        f"rating: {e.gold_rating:g}\n"
        f"reason: {_shorten(e.explanation, _MAX_REASON_CHARS) or '-'}"
        for e in examples
    )


def _summarise(study: Study, threads: ThreadPoolExecutor) -> str:
    train = study.data.train
    order = np.random.default_rng([study.seed, 6]).permutation(len(train))[: BATCH_SIZE * MAX_BATCHES]
    batches = [[train[at] for at in order[start : start + BATCH_SIZE]] for start in range(0, len(order), BATCH_SIZE)]
    observe = partial(_ask, study.reflect, _Observe, task=study.judge.task.description)
    observed = list(threads.map(lambda batch: observe(pairs=render_pairs(batch)), batches))
    observations = "\n\n".join(text for text in observed if isinstance(text, str))
    if not observations:
        return _NONE
    summary = _ask(study.reflect, _Summarise, observations=observations)
    return _NONE if isinstance(summary, Refusal) else summary


def _ask(reflect: Callable[[str], str | Refusal], signature: type[Any], **inputs: str) -> str | Refusal:
    """What the reflection model writes into the one output field of a signature."""
    adapter = dspy.ChatAdapter(use_json_adapter_fallback=False)  # one call, no repair
    turns = adapter.format(signature, demos=[], inputs=inputs)
    reply = reflect("\n\n".join(turn["content"] for turn in turns))
    if isinstance(reply, Refusal):
        return reply
    try:
        (text,) = adapter.parse(signature, reply).values()
    except AdapterParseError:
        return refusal_to_write(reply) or Refusal("unreadable", "the reply lacks the field that was asked for")
    return str(text).strip() or Refusal("empty", "the field that was asked for is empty")


def _shorten(text: str, most: int) -> str:
    return text if len(text) <= most else text[:most] + " [...]"

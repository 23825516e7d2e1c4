"""Models of the landscape: the judge that answers as its rules let it, and the reflection model that adds rules.

Both are pure functions of (seed, prompt, occurrence), their latencies too; `async` for our engines, and in a thread
for libraries that wait in threads.
"""

from __future__ import annotations

import asyncio
import json
import re
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from pydantic import BaseModel, ConfigDict, Field

from benchmarks.landscape import ENDED_BY, Landscape, LandscapeConfig, RuleSet, draws, key_of, lognormal, rules_in
from benchmarks.landscape_demonstrations import Shown
from benchmarks.landscape_texts import FAILURES, FINE, REMARKS, RULES, SECTIONS, Kind
from benchmarks.simulated_replies import num_tokens, write_prose
from judge_serve.judging.engine import EngineReply, EngineRequest

FITTING, IDLE = 0.4, 0.4  # shares of the proposals; the rest are harmful
_FENCED = re.compile(r"```[a-z]*\n(.*?)\n?```", re.DOTALL)
_DSPY_FIELD = re.compile(r"\[\[ ## current_instruction ## \]\]\n(.*?)\n\n\[\[ ## examples_with_feedback", re.DOTALL)

_RATING = re.compile(r"(?:\brating\b\D{1,12}|^\s*)(\d+)")  # JSON, DSPy's field marker, or the number alone


class LatencyConfig(BaseModel):
    """How long models take: median in seconds and standard deviation of the natural log; a median of 0 is no time."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    judge_median_s: float = Field(0.05, ge=0.0)
    judge_sigma: float = Field(1.0, ge=0.0)
    reflection_median_s: float = Field(0.5, ge=0.0)
    reflection_sigma: float = Field(0.5, ge=0.0)


NO_LATENCY = LatencyConfig(judge_median_s=0.0, reflection_median_s=0.0)


class LandscapeJudge:
    """What the judging model answers a request, and how long it takes.

    Args:
        landscape: the task.
        latency: how long an answer takes.
        rules_of: reads the rules from a system turn.
    """

    def __init__(
        self,
        landscape: Landscape,
        latency: LatencyConfig = NO_LATENCY,
        rules_of: Callable[[str], RuleSet] = rules_in,
    ) -> None:
        self._landscape = landscape
        self._latency = latency
        self._rules_of = rules_of

    def reply(self, request: EngineRequest) -> EngineReply:
        """The reply of a judge with the rules in the system turn, shown the turns before the last."""
        system, *demonstrations, item = request.messages
        reading = self._landscape.read(
            self._rules_of(system["content"]), key_of(item["content"]), shown_in(demonstrations)
        )
        if reading.is_malformed and request.json_schema is None:
            text = write_prose(reading.rating, request.max_tokens).text
        else:
            thoughts = " ".join(FAILURES[name].thought for name in reading.failures) or FINE
            text = json.dumps({"rating": reading.rating, "explanation": thoughts})
        num_chars = sum(len(message["content"]) for message in request.messages)
        return EngineReply(text, "stop", prompt_tokens=num_tokens(num_chars), completion_tokens=num_tokens(len(text)))

    def latency_s(self, request: EngineRequest) -> float:
        """Seconds in a slot."""
        if not self._latency.judge_median_s:
            return 0.0
        contents = [message["content"] for message in request.messages]
        drawn = draws(self._landscape.config.seed, "latency", *contents, str(request.seed))[0]
        return lognormal(self._latency.judge_median_s, self._latency.judge_sigma, drawn)


class LandscapeEngine:
    """The judging model as an `Engine`; without latency it never awaits.

    Args:
        config: which landscape.
        latency: how long it takes.
        slots: requests answered at once, others wait in line.
        rules_of: reads the rules from a system turn.
    """

    model = "landscape"

    def __init__(
        self,
        config: LandscapeConfig,
        latency: LatencyConfig = NO_LATENCY,
        slots: int = 64,
        rules_of: Callable[[str], RuleSet] = rules_in,
    ) -> None:
        self._judge = LandscapeJudge(Landscape(config), latency, rules_of)
        self._line = asyncio.Semaphore(slots)

    async def complete(self, request: EngineRequest) -> EngineReply:
        """See `Engine.complete`."""
        seconds = self._judge.latency_s(request)
        if seconds:
            async with self._line:
                await asyncio.sleep(seconds)
        return self._judge.reply(request)

    async def close(self) -> None:
        """Nothing to release."""


class ThreadedEngine:
    """The judging model for callers that wait in threads; tells `on_call` the latency of every request."""

    def __init__(self, judge: LandscapeJudge, slots: int, on_call: Callable[[float], None]) -> None:
        self._judge = judge
        self._slots = threading.Semaphore(slots)
        self._on_call = on_call

    def complete(self, request: EngineRequest) -> EngineReply:
        """Answer after the request's time in a slot."""
        seconds = self._judge.latency_s(request)
        self._on_call(seconds)
        if seconds:
            with self._slots:
                time.sleep(seconds)
        return self._judge.reply(request)


class Proposal(NamedTuple):
    """What the reflection model came up with; `rule` is None for a remark that does nothing."""

    kind: Kind
    rule: str | None
    text: str


@dataclass(frozen=True)
class ReflectionModel:
    """Adds one rule to the text under revision: fitting the failures shown, idle, or harmful.

    The text is the first fenced one that holds the opening sentence of a section (the form of gepa and of ours), or
    DSPy's field `current_instruction`; rules of all sections in it may be added. Failures are seen where the judge's
    own words about them stand in the prompt, those that occur more often are more likely to be taken up. Where no
    rule of the drawn kind is left, it adds a remark.
    """

    seed: int
    latency: LatencyConfig = NO_LATENCY

    def answer(self, prompt: str, occurrence: int = 0) -> str:
        """The reply in the form that the prompt asks for: DSPy's JSON object, or a fenced text."""
        text = self.propose(prompt, occurrence).text
        return json.dumps({"new_instruction": text}) if _DSPY_FIELD.search(prompt) else f"```\n{text}\n```"

    def propose(self, prompt: str, occurrence: int = 0) -> Proposal:
        """The rule that is added, and the new text.

        Raises: ValueError if the prompt shows no section of the landscape.
        """
        drawn = draws(self.seed, "reflection", prompt, str(occurrence))[:3]
        return draw_line(text_under_revision(prompt), thoughts_shown(prompt), drawn)

    def latency_s(self, prompt: str, occurrence: int = 0) -> float:
        """Seconds until the answer."""
        drawn = draws(self.seed, "reflection latency", prompt, str(occurrence))[0]
        return lognormal(self.latency.reflection_median_s, self.latency.reflection_sigma, drawn)


class Reflected(NamedTuple):
    """An answer of the reflection model, and how long it took it."""

    text: str
    latency_s: float


class PromptModel(Protocol):
    """A model that completes prompts: a pure function of the prompt and how often it was asked before."""

    def answer(self, prompt: str, occurrence: int = 0) -> str:
        """The reply."""
        ...

    def latency_s(self, prompt: str, occurrence: int = 0) -> float:
        """Seconds until the reply."""
        ...


class Reflecting:
    """A model that completes prompts, for callers that wait in threads; counts how often a prompt is asked.

    Args:
        model: what answers.
        on_call: told the latency of every request before it is answered.
    """

    def __init__(self, model: PromptModel, on_call: Callable[[float], None] = lambda latency_s: None) -> None:
        self._model = model
        self._on_call = on_call
        self._times: Counter[str] = Counter()
        self._lock = threading.Lock()

    def __call__(self, prompt: str) -> str:
        """The answer, after its time."""
        return self.ask(prompt).text

    def ask(self, prompt: str) -> Reflected:
        """The answer, after its time, and that time."""
        with self._lock:
            occurrence = self._times[prompt]
            self._times[prompt] += 1
        seconds = self._model.latency_s(prompt, occurrence)
        self._on_call(seconds)
        if seconds:
            time.sleep(seconds)
        return Reflected(self._model.answer(prompt, occurrence), seconds)


def shown_in(messages: Sequence[dict[str, str]]) -> tuple[Shown, ...]:
    """The demonstrations in pairs of user and assistant turns, in our form or in DSPy's.

    Raises: ValueError if a turn shows no document of the landscape, or no rating.
    """
    return tuple(
        Shown(key_of(user["content"]), _rating_in(assistant["content"]))
        for user, assistant in zip(messages[::2], messages[1::2], strict=True)
    )


def text_under_revision(prompt: str) -> str:
    """The instruction or section that a reflection prompt asks to rewrite."""
    fields = _DSPY_FIELD.findall(prompt)
    for text in [*reversed(fields), *_FENCED.findall(prompt)]:
        if any(opening in text for opening in SECTIONS.values()):
            return str(text)
    raise ValueError(f"the reflection prompt shows no section of the landscape: {prompt[:300]!r}")


def thoughts_shown(prompt: str) -> dict[str, int]:
    """How often the judge's own words about each failure stand in a prompt."""
    return {name: prompt.count(failure.thought) for name, failure in FAILURES.items()}


def draw_line(text: str, shown: Mapping[str, int], drawn: Sequence[float]) -> Proposal:
    """A text with one line more, of a kind drawn at the published shares.

    Args:
        text: holds the sections that a rule may join.
        shown: how often each failure is shown, the weight of the rules that fit it.
        drawn: three numbers in (0, 1): the kind, the rule or remark, the section of a remark.
    """
    which, what, where = drawn
    kind = Kind.HELPS if which < FITTING else Kind.IDLE if which < FITTING + IDLE else Kind.HARMS
    present = rules_in(text)
    sections = [name for name, opening in SECTIONS.items() if opening in text]
    open_rules = [name for name, rule in RULES.items() if rule.section in sections and name not in present]
    if kind is Kind.HELPS:
        weights = fitting_rules(shown, open_rules)
    else:
        weights = {name: 1 for name in open_rules if RULES[name].kind is kind}
    if weights:
        rule = _draw_weighted(weights, what)
        return Proposal(RULES[rule].kind, rule, add_line(text, RULES[rule].section, RULES[rule].text))
    remarks = [remark for remark in REMARKS if remark not in text]
    if not remarks:
        return Proposal(Kind.IDLE, None, text)
    section = sections[int(len(sections) * where)]
    return Proposal(Kind.IDLE, None, add_line(text, section, remarks[int(len(remarks) * what)]))


def fitting_rules(shown: Mapping[str, int], open_rules: Sequence[str]) -> dict[str, int]:
    """Rules that end a failure that is shown, with how often it is shown."""
    return {
        rule: times for name, times in shown.items() if times for rule in sorted(ENDED_BY[name]) if rule in open_rules
    }


def add_line(text: str, section: str, line: str) -> str:
    """The text with a line more at the end of a section's paragraph."""
    paragraphs = text.split("\n\n")
    for number, paragraph in enumerate(paragraphs):
        if SECTIONS[section] in paragraph:
            paragraphs[number] = f"{paragraph}\n- {line}"
    return "\n\n".join(paragraphs)


def _rating_in(text: str) -> int:
    found = _RATING.search(text)
    if found is None:
        raise ValueError(f"no rating in the demonstration {text[:200]!r}")
    return int(found.group(1))


def _draw_weighted(weights: dict[str, int], drawn: float) -> str:
    left = drawn * sum(weights.values())
    for name, weight in weights.items():
        left -= weight
        if left < 0:
            return name
    return next(reversed(weights))

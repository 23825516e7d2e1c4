"""The proposing model of the landscape: it answers what the proposers of MIPROv2 ask, DSPy's and ours.

Asked about data, it repeats the reasons and thoughts that it reads most often; asked for an instruction, it adds two
to four lines to the present one, each drawn like those of the reflection model: fitting a failure whose reason or
thought it reads, idle, or harmful. A pure function of (seed, prompt, occurrence), its latency too.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from dataclasses import dataclass
from typing import NamedTuple

from benchmarks.landscape import draws, lognormal
from benchmarks.landscape_engines import NO_LATENCY, LatencyConfig, draw_line
from benchmarks.landscape_texts import FAILURES

LINES = (2, 4)  # at least, at most
MOST_REPEATED = 4  # reasons and thoughts in an answer about data
_NEUTRAL = "Queries are matched with documents, and each pair is rated."
_IN_JSON = re.compile(r"Respond with a JSON object in the following order of fields: `(\w+)`")
_IN_SECTIONS = re.compile(
    r"Respond with the corresponding output fields, starting with the field `\[\[ ## (\w+) ## \]\]`"
)
_INSTRUCTION = re.compile(
    r"\[\[ ## (?:basic|current)_instruction ## \]\]\n(.*?)(?=\n\n\[\[ ## |\n\nRespond with)", re.DOTALL
)


class Asked(NamedTuple):
    """The output field that a prompt asks for, as a JSON object or as a section between markers."""

    field: str
    in_json: bool


@dataclass(frozen=True)
class ProposingModel:
    """Describes data and programs, and writes instructions; its latency is that of the reflection model."""

    seed: int
    latency: LatencyConfig = NO_LATENCY

    def answer(self, prompt: str, occurrence: int = 0) -> str:
        """The reply in the form that the prompt asks for.

        Raises: ValueError if the prompt asks for no field that this model knows.
        """
        asked = asked_field(prompt)
        match asked.field:
            case "observations" | "summary":
                text = " ".join([*_most_frequent(prompt), _NEUTRAL])
            case "program_description" | "module_description":
                text = _NEUTRAL
            case "proposed_instruction":
                text = self.propose(prompt, occurrence)
            case other:
                raise ValueError(f"the prompt asks for {other!r}, which the proposing model does not know")
        return json.dumps({asked.field: text}) if asked.in_json else _in_section(asked.field, text)

    def propose(self, prompt: str, occurrence: int = 0) -> str:
        """The present instruction with a few lines more.

        Raises: ValueError if the prompt shows no instruction.
        """
        found = _INSTRUCTION.findall(prompt)
        if not found:
            raise ValueError(f"the prompt shows no instruction to improve: {prompt[:300]!r}")
        text = str(found[-1])  # those before are placeholders
        least, most = LINES
        number, *drawn = draws(self.seed, "proposal", prompt, str(occurrence), count=1 + 3 * most)
        for line in range(least + int((most - least + 1) * number)):
            text = draw_line(text, failures_shown(prompt), drawn[3 * line : 3 * line + 3]).text
        return text

    def latency_s(self, prompt: str, occurrence: int = 0) -> float:
        """Seconds until the answer."""
        drawn = draws(self.seed, "proposing latency", prompt, str(occurrence))[0]
        return lognormal(self.latency.reflection_median_s, self.latency.reflection_sigma, drawn)


def asked_field(prompt: str) -> Asked:
    """The one output field that a prompt in the form of DSPy's adapters asks for.

    Raises: ValueError if there is none.
    """
    for pattern, in_json in ((_IN_JSON, True), (_IN_SECTIONS, False)):
        found = pattern.findall(prompt)
        if found:
            return Asked(str(found[-1]), in_json)
    raise ValueError(f"the prompt asks for no output field: {prompt[-300:]!r}")


def failures_shown(prompt: str) -> dict[str, int]:
    """How often each failure is shown in a prompt, by the human's reason or by the judge's own words."""
    return {name: prompt.count(failure.reason) + prompt.count(failure.thought) for name, failure in FAILURES.items()}


def _most_frequent(prompt: str) -> list[str]:
    texts = [text for failure in FAILURES.values() for text in (failure.reason, failure.thought)]
    times = Counter({text: prompt.count(text) for text in texts})
    return [text for text, count in times.most_common(MOST_REPEATED) if count]


def _in_section(field: str, text: str) -> str:
    return f"[[ ## {field} ## ]]\n{text}\n\n[[ ## completed ## ]]"

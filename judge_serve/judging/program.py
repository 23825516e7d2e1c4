"""The program: the text part of a judge that optimizers may change, as plain data.

Scale, answer format and delimiters are not part of it; `rendering` adds them from the task.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cached_property
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, field_serializer, field_validator

from judge_serve.judging.content_key import digest_of

MAX_SECTION_CHARS = 20_000
_LINE_BREAK = re.compile(r"[\n\r\v\f\x1c-\x1e\x85\u2028\u2029]")  # whatever `str.splitlines` breaks at


class Demonstration(BaseModel):
    """A solved example shown to the model: always the human rating, always from the training split.

    Attributes:
        explanation: the reason; empty only where replies hold none, as in mode `expected`.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    query: str = Field(min_length=1)
    document: str = Field(min_length=1)
    rating: int
    explanation: str = ""


class Program(BaseModel):
    """Named instruction sections in order, one-line bullets, demonstrations.

    In JSON the sections are (name, text) pairs: their order is part of the prompt, and writers sort object keys.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    sections: dict[str, str]
    bullets: tuple[str, ...] = ()
    demonstrations: tuple[Demonstration, ...] = ()

    @field_validator("sections", mode="before")
    @classmethod
    def _read_pairs(cls, sections: Any) -> Any:
        if not isinstance(sections, list):
            return sections
        if not all(isinstance(pair, list) and len(pair) == 2 and isinstance(pair[0], str) for pair in sections):
            raise ValueError("sections are a table of texts or a list of [name, text] pairs")
        if len({name for name, _ in sections}) != len(sections):
            raise ValueError("section names repeat")
        return dict(sections)

    @field_serializer("sections", when_used="json")
    def _write_pairs(self, sections: dict[str, str]) -> list[list[str]]:
        return [[name, text] for name, text in sections.items()]

    @field_validator("sections")
    @classmethod
    def _check_sections(cls, sections: dict[str, str]) -> dict[str, str]:
        if not any(text.strip() for text in sections.values()):
            raise ValueError("a program needs at least one section with text")
        too_long = [name for name, text in sections.items() if len(text) > MAX_SECTION_CHARS]
        if too_long:
            raise ValueError(f"sections {too_long} exceed {MAX_SECTION_CHARS} characters")
        return sections

    @field_validator("bullets")
    @classmethod
    def _check_bullets(cls, bullets: tuple[str, ...]) -> tuple[str, ...]:
        if any(not bullet.strip() or _LINE_BREAK.search(bullet) for bullet in bullets):
            raise ValueError("a bullet is one non-empty line")
        return bullets

    @property
    def instruction(self) -> str:
        """All sections as one text."""
        return "\n\n".join(text.strip() for text in self.sections.values() if text.strip())

    def with_sections(self, sections: dict[str, str]) -> Program:
        """The same program with other section texts."""
        return Program(sections=sections, bullets=self.bullets, demonstrations=self.demonstrations)

    def model_copy(self, *, update: Mapping[str, Any] | None = None, deep: bool = False) -> Program:
        """A copy that takes its own digest."""
        copied = super().model_copy(update=update, deep=deep)
        copied.__dict__.pop("digest", None)
        return copied

    @cached_property
    def digest(self) -> str:
        """Identity of the text: equal programs have equal digests in every process."""
        return digest_of(self.model_dump(mode="json"))

"""Printing for people on stdout: nothing that is printed can steer the terminal."""

from __future__ import annotations

import io
import logging
import unicodedata
from collections.abc import Iterable
from typing import Any

from rich.console import Console, ConsoleOptions, RenderableType
from rich.segment import Segment

logger = logging.getLogger(__name__)


class PrintedByOthers(io.TextIOBase):
    """Takes what libraries print while a command works: Ray does of actors that the command stops. It is logged."""

    def writable(self) -> bool:
        """Always."""
        return True

    def write(self, text: str) -> int:
        """Log the lines at DEBUG."""
        for line in filter(str.strip, text.splitlines()):
            logger.debug("printed: %s", printable(line))
        return len(text)


class _PlainConsole(Console):
    """A console that nothing that is printed can steer: names, ids and prompts come from elsewhere."""

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterable[Segment]:
        for text, style, control in super().render(renderable, options):
            yield Segment(text if control else printable(text), style, control)


def printable(text: str) -> str:
    """The text without characters that steer a terminal or turn its direction."""
    return "".join(char if char.isprintable() or _is_space(char) else "\ufffd" for char in text)


def _is_space(char: str) -> bool:
    return char == "\n" or unicodedata.category(char) == "Zs"  # such as the one that does not break


def print_plain(what: Any) -> None:
    """Print a line, a text or a table; nothing in a line is markup."""
    console = _PlainConsole(highlight=False, width=None if Console().is_terminal else 120)
    if isinstance(what, str):
        console.print(what, markup=False, soft_wrap=True)
    else:
        console.print(what)


def print_plan(plan: dict[str, Any]) -> None:
    """What a command would do: a line for each part that there is."""
    for part, found in plan.items():
        for one in found if isinstance(found, list) else [found]:
            if one is not None:
                print_plain(printable(f"{part.replace('_', ' '):<16}  {_in_words(one)}"))


def _in_words(value: Any) -> str:
    if isinstance(value, dict):
        given = {key.replace("_", " "): one for key, one in value.items() if one is not None}
        return ", ".join(f"{key} {_in_words(one)}" for key, one in given.items()) or "none"
    return {True: "yes", False: "no"}[value] if isinstance(value, bool) else str(value)


def print_fields(result: dict[str, Any]) -> None:
    """Key and value, one a line."""
    for key, value in result.items():
        print_plain(f"{key}  {value}")

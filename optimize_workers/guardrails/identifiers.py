"""What identifies one person, place or thing, however common its words: handles, addresses, tickets, figures, names."""

from __future__ import annotations

import re
from functools import lru_cache

_REFERENCE = re.compile(
    r"(?<![\w.+-])[\w.+-]{1,64}@[\w-]+(?:\.[\w-]+)+"  # e-mail address
    r"|(?<![\w@#/])[@#][A-Za-z][\w-]+"  # handle, channel
    r"|\b(?:https?://|www\.)[^\s<>\"')\]]+[^\s<>\"')\].,;:!?]"
    r"|\b[A-Za-z]{2,10}-\d{2,}[A-Za-z]?\b|\b[A-Z]{2,10}-\d[A-Z]?\b"  # ticket, device
    r"|(?<![\w-])[\w-]{1,80}\.(?:pdf|docx?|xlsx?|pptx?|csv|zip|png|jpe?g|com|org|net|io|dev|gov|edu|local|internal)\b"
)
_FIGURE = re.compile(r"(?<![\w.,:/-])\d+(?:[.,:/-]\d+)*(?![\w-])")
_NAME = re.compile(r"(?<=[a-z,] )[A-Z][a-z]+\b(?!\.\w)")  # capitalised after a word that is not
_COUNTED = re.compile(r"[ -]*(?:word|char|token|letter)")
_THOUSANDS = re.compile(r",(?=\d{3}\b)")
_YEARS = re.compile(r"(?:19|20)\d\d(?:-(?:19|20)?\d\d)?")
_ROUND = re.compile(r"\d\d0|[1-9]0+|\d{1,2}:[0134][05]")
_NO_FIGURES = frozenset({"24/7", "50/50", "80/20", "90/10"})
_MIN_DIGITS = 3  # shorter numbers count things


def references_in(text: str) -> list[str]:
    """Addresses, handles, channels, tickets and file names in a normalised text, in lower case."""
    return [reference for chunk in dict.fromkeys(text.split()) for reference in _references_of(chunk)]


def figures_in(text: str) -> list[str]:
    """Numbers of a normalised text that may point at something: no counts, years, round ones or lengths of texts."""
    found = []
    for match in _FIGURE.finditer(text):
        figure = _THOUSANDS.sub("", match.group())
        is_short = sum(character.isdigit() for character in figure) < _MIN_DIGITS
        if is_short or figure in _NO_FIGURES or _YEARS.fullmatch(figure) or _ROUND.fullmatch(figure):
            continue
        if not _COUNTED.match(text, match.end()):
            found.append(figure)
    return found


def names_in(text: str) -> list[str]:
    """Words with a capital within a sentence of a normalised text."""
    return _NAME.findall(text)


@lru_cache(maxsize=100_000)  # most chunks are words that recur
def _references_of(chunk: str) -> tuple[str, ...]:
    return tuple(match.lower() for match in _REFERENCE.findall(chunk))

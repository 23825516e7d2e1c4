"""Forbidden phrases, and whether a text asks for one or forbids it itself ("never use half points" keeps the scale)."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import NamedTuple

_REACH_CHARS = 70  # a negation further back speaks of something else
# where the words before say nothing about the phrase any more
_CLAUSE_END = re.compile(
    r"[.;:!?\n](?:\s|$)|\bbut\b|\binstead\b(?! of)|\bhowever\b|"
    r",\s*(?:then |always |please |and )?(?:use|rate|answer|give|return|output|score|choose|reply|respond|write|add)\b"
)
_NEGATION = re.compile(
    r"\b(?:not|don't|doesn't|mustn't|shouldn't|isn't|aren't|can't|cannot|never|no|nor|neither|none|avoid|avoids|"
    r"without|refrain|forbidden|prohibited|instead of|rather than|other than|nothing (?:else )?(?:like|such))\b"
    r"(?! (?:only|just|matter|longer|hesitate|forget|be afraid|fail|more than|higher than|lower than|less than)\b)"
)
_INNER_NEGATION = re.compile(
    r"\b(?:not|never|rather than|without|instead of)\b (?:in|as|a|an|any|with|by|use|using|the)\b"
)


class Phrase(NamedTuple):
    """A pattern, and texts of which one must stand in whatever it matches: most patterns need not be tried."""

    needs: tuple[str, ...]
    pattern: re.Pattern[str]


def phrases(*rules: tuple[str, str]) -> tuple[Phrase, ...]:
    """Phrases for prepared text from (needed texts, separated by `|`; regular expression)."""
    return tuple(Phrase(tuple(needs.split("|")), re.compile(pattern, re.MULTILINE)) for needs, pattern in rules)


def any_of(*alternatives: str) -> re.Pattern[str]:
    """One pattern of alternatives, for prepared text."""
    return re.compile("|".join(f"(?:{alternative})" for alternative in alternatives), re.MULTILINE)


def matches_of(rules: Sequence[Phrase], text: str) -> Iterator[re.Match[str]]:
    """All matches of phrases in a text; each pattern sees the sentences that it may match only."""
    sentences = text.split("\n")
    for rule in rules:
        for needed in rule.needs:
            if needed in text:
                fitting = [sentence for sentence in sentences if any(map(sentence.__contains__, rule.needs))]
                yield from rule.pattern.finditer("\n".join(fitting))
                break


def asked_for(rules: Sequence[Phrase], text: str) -> Iterator[str]:
    """Forbidden phrases that a text asks for, without those that it forbids itself."""
    for match in matches_of(rules, text):
        if not is_negated(match.string, match.start()) and not _INNER_NEGATION.search(match.group()):
            yield match.group()


def denied(rules: Sequence[Phrase], text: str) -> Iterator[str]:
    """Phrases whose negation is the offence ("no JSON"), without double negatives."""
    return (match.group() for match in matches_of(rules, text) if not is_negated(match.string, match.start()))


def is_negated(text: str, start: int) -> bool:
    """Whether the clause of a prepared text that holds `start` negates what begins there."""
    before = text[max(0, start - _REACH_CHARS) : start]
    ends = list(_CLAUSE_END.finditer(before))
    clause = before[ends[-1].end() :] if ends else before
    return _NEGATION.search(clause) is not None

"""How a number is meant: as a rating or as a quantity of something, and what else its sentence says.

For prepared text: lower case, numbers in digits, one sentence a line.
"""

from __future__ import annotations

import re
from typing import NamedTuple

NUMBER = r"(?<![\w.,/:$%-])\d{1,4}(?:\.\d+)?"
RATING_WORDS = (
    r"(?:rat(?:e|es|ed|ing|ings)|scales?|scor(?:e|es|ed|ing)|grad(?:e|es|ed|ing)|points?|marks?|numbers?|integers?|"
    r"digits?|values?|relevance)"
)
_ANSWER_VERBS = (
    r"(?:answer|respond|reply|return|output|give|assign|choose|pick|select|use|award|judge|evaluate|assess|classify|"
    r"label|print|write|rank|report|express)"
)
_DIGIT = re.compile(r"\d")
_RATING_CONTEXT = re.compile(rf"\b(?:{RATING_WORDS}|{_ANSWER_VERBS})\b")
# after a number, these make it no quantity of something: "1-10 scale", "10 if", "10."
_NO_UNIT = re.compile(
    r"\s*(?:%|percent\b)?\s*(?:$|[^\w\s%-]|-?\s*(?:and|as|at|based|because|by|depending|each|exactly|for|how|if|in|"
    r"inclusive|indicat\w+|instead|integers?|is|are|likert|means?|numeric|of relevance|on|only|or|overall|points?|"
    r"rat(?:e|ed|ing|ings)|rather|relevance|scales?|scor\w+|grad\w+|marks?|should|stars?|that|to|total|unless|"
    r"values?|when|where|which|whole|with|without|would)\b)"
)
_NEXT_WORDS = re.compile(r"[ -]?([a-z'-]+)(?: ([a-z'-]+))?(?: ([a-z'-]+))?")
_SCALE_WORD = re.compile(r"(?:scale|likert|rating|score|grade)s?")
_UNIT = re.compile(r"\w*[^su\W]s|page|word|line|minute|hour|day|week|month|year|sentence|item|person|people|percent|of")
_CONDITION_AFTER = re.compile(r"\s*,?\s*(?:only |just )?(?:if|when|where|whenever|unless|for|to|since|until)\b")
_CONDITION_BEFORE = re.compile(r"\b(?:if|when|where|for|unless|reserve|torn|otherwise)\b|:\s*\S")


_SIGHT_CHARS = 300  # of a sentence before and after a match; few sentences are longer


class Place(NamedTuple):
    """A match within its sentence."""

    found: str
    before: str
    after: str

    @property
    def counts_something(self) -> bool:
        """Whether the number is a quantity of what follows: "3-5 keywords"."""
        if _NO_UNIT.match(self.after):
            return False
        following = _NEXT_WORDS.match(self.after)
        words = [word for word in following.groups() if word] if following else []
        return not any(map(_SCALE_WORD.fullmatch, words)) and any(map(_UNIT.fullmatch, words))

    @property
    def is_about_ratings(self) -> bool:
        """Whether the sentence speaks of rating or answering."""
        return _RATING_CONTEXT.search(self.before + self.found + self.after) is not None

    @property
    def is_conditional(self) -> bool:
        """Whether the rating is for certain documents only: "1-2 if", "off topic: 1-2"."""
        return _CONDITION_AFTER.match(self.after) is not None or _CONDITION_BEFORE.search(self.before) is not None


def with_numbers(text: str) -> str:
    """The sentences that hold a digit: the others need not be searched for numbers."""
    return "\n".join(line for line in text.split("\n") if _DIGIT.search(line))


def place_of(match: re.Match[str]) -> Place:
    """Where a match stands."""
    text, start, end = match.string, match.start(), match.end()
    before = text[max(0, start - _SIGHT_CHARS) : start].rpartition("\n")[2]
    return Place(match.group(), before, text[end : end + _SIGHT_CHARS].partition("\n")[0])

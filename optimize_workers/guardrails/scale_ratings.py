"""Single numbers that would make another scale: ratings off it, decimals, other ends, legends.

"Rate 5 only if ..." is legal, "a 0 for spam" is not. For prepared text, see `numbers`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from judge_serve.judging.scale import Scale
from optimize_workers.guardrails.numbers import RATING_WORDS, place_of, with_numbers
from optimize_workers.guardrails.phrases import any_of, is_negated

_OBJECTS = (
    r"(?: (?:it|them|each|the|a|an|of|as|with|documents?|at|most|least|only|always|to|ratings?|scores?|values?|"
    r"numbers?|grade|is|be|by|up|than|more|higher|above|below|lower|full|extra|new|perfect|irrelevant|unrelated|"
    r"points?|highest|lowest|maximum|minimum))*"
)
_ONE = r"(-?\d{1,3})(?![\w%/:-]|[.,]\d| ?percent)"
_RATED = any_of(
    r"\b(?:rat(?:e|es|ed|ing|ings)|scor(?:e|es|ed|ing)|grad(?:e|es|ed)|mark|marked|gives?|given|assign(?:ed)?|award|"
    r"deserves?|gets?|receives?|answer|return|output|reply|respond|choose|pick|use|add|means|else|otherwise|reserve|keep|save),?"
    rf"{_OBJECTS}\s*[:=(]?\s*{_ONE}",
    rf"\b(?:relevant|not) \({_ONE}\)",
    r"\b(?:a|an) (\d{1,3})(?= (?:means?|is|indicates?|stands)\b)",
    r"\b(?:total|sum|maximum) of (\d{1,3})(?= ?(?:$|[.,;)]|points?\b))",
)
_MOST_OF_A_SCALE = 10  # numbers above it count something, but for 100
_BEYOND = re.compile(
    r"\b(?:go|goes|rate|rated|rating|ratings|score|scores|may|can|should|documents?)\b[^\n.;]{0,25}?"
    r"\b(?:(below|under|lower than|less than)|(above|over|exceed|exceeds|beyond|higher than|more than)) (\d{1,3})"
    r"(?![\w%/:-]|[.,]\d)"
)
_EXTREME = re.compile(
    r"\b(?:(highest|maximum|max|top|best)|(?:lowest|minimum|min|worst))(?: possible| allowed)? "
    r"(?:rating|score|grade|mark|value|number)s?\s*(?:is|are|=|:|of|being|\()\s*(\d{1,3})(?!\w|\.\d)"
)
_CONDITION = re.compile(r"\s*,?\s*(?:only |just )?(?:if|when|where|whenever|unless|for|to)\b")
_POINTS = re.compile(r"\b(\d{1,4}) points?\b")
_POINTS_GIVEN = re.compile(r"\b(?:award|give|gives|assign|worth|up to|maximum|total|score|scores|out of)\b")
_UP_TO = re.compile(r"\bup to (\d{1,4})\b(?!\.\d)")
_RATING_OF = re.compile(
    r"\b(?:ratings?|scores?|grades?) (?:of|above|over|below|under|from|at least|at most|around|near) "
    r"(\d{1,3})\b(?!\.\d)"
)
_PLUS_MINUS = re.compile(r"(?<![\w.])\d\+(?![\w+])|\bplus(?:es)? (?:and|or) minus(?:es)?\b")
_ABOUT_RATINGS = re.compile(r"\b(?:rat(?:e|es|ed|ing|ings)|scales?|scor(?:e|es|ed|ing)|grad(?:e|es|ed|ing))\b")
_DECIMAL = re.compile(
    r"\b(?:rat(?:e|ed|ing|ings)|scor(?:e|es|ed)|grades?|gives?|assign|award|answer|return|output|choose|pick|use|or)\b"
    r"(?: (?:a|an|the|it|them|of|as|at|to|with|up|down|by|like|around|about|ratings?|scores?|values?|middle|such|"
    r"e\.g\.|for|example|between))*[\s(:,]*((?:\d|10)\.\d+)(?![\w.])"
)
_LEGEND_LINE = re.compile(
    r"^\W*(?:(?:rating|score|grade)\s+)?(\d{1,3})\s*(=|:|-|means\b|is\b)\s*(\S[^\n]*)", re.MULTILINE
)
_LEGEND_HEAD = re.compile(rf"\b{RATING_WORDS}\b[^\n]{{0,40}}:?\s*$")
_INLINE_LEGEND = re.compile(r"(?:^|[(,;:]\s*)(\d{1,3})\s*(=|for\b)\s*([^\n,;()=]+)", re.MULTILINE)
_MEANING = re.compile(r"\b(\d)(?: is| means| stands for| indicates| being| ?=|:)? (?:the |a |an )?([^\n.;,:=\d]{0,50})")
_GOOD = re.compile(
    r"^(?:is |for |the |a |an )*(?:perfect|best|excellent|most relevant|highly relevant|complete match|"
    r"fully relevant)\b"
)
_BAD = re.compile(
    r"^(?:is |for |the |a |an )*(?:completely |totally |entirely )?"
    r"(?:irrelevant|worst|unrelated|useless|no (?:meaningful )?connection|not relevant|least relevant)\b"
)


def foreign_ratings(text: str, scale: Scale) -> Iterator[str]:
    """Each number that is used as a rating and is none of the task's scale, as found."""
    yield from _foreign_legends(text, scale)
    text = with_numbers(text)
    for match in _RATED.finditer(text):
        number = next(int(group) for group in match.groups() if group)
        is_off = not scale.holds(number) and (abs(number) <= _MOST_OF_A_SCALE or number == 100)
        if is_off and not place_of(match).counts_something and not is_negated(text, match.start()):
            yield match.group()
    for match in _BEYOND.finditer(text):
        is_past_end = int(match.group(3)) == (scale.minimum if match.group(1) else scale.maximum)
        if is_past_end and not place_of(match).counts_something and not _is_denied(match):
            yield match.group()
    for match in _EXTREME.finditer(text):
        is_end = int(match.group(2)) == (scale.maximum if match.group(1) else scale.minimum)
        if not is_end and not _CONDITION.match(place_of(match).after):
            yield match.group()
    for match in _POINTS.finditer(text):
        place = place_of(match)
        if int(match.group(1)) > scale.maximum and _POINTS_GIVEN.search(place.before + place.after):
            yield match.group()
    for match in (*_UP_TO.finditer(text), *_RATING_OF.finditer(text)):
        place = place_of(match)
        is_rating = match.re is _RATING_OF or _ABOUT_RATINGS.search(place.before + place.after) is not None
        is_off = not scale.holds(int(match.group(1))) and is_rating
        if is_off and not place.counts_something and not is_negated(text, match.start()):
            yield match.group()
    for match in _PLUS_MINUS.finditer(text):
        place = place_of(match)
        is_rating = _ABOUT_RATINGS.search(place.before + place.after) is not None or "plus" in place.found
        if is_rating and not place.counts_something and not is_negated(text, match.start()):
            yield match.group()
    for match in _DECIMAL.finditer(text):
        if not place_of(match).counts_something and not is_negated(text, match.start()):
            yield match.group()
    yield from _reversed_meanings(text, scale)


def _foreign_legends(text: str, scale: Scale) -> Iterator[str]:
    """Tables of ratings and meanings with other ratings, or without those at the top."""
    for pattern in (_LEGEND_LINE, _INLINE_LEGEND):
        found = list(pattern.finditer(text))
        numbers = {int(match.group(1)) for match in found}
        if len(numbers) < 2:
            continue
        is_legend = (
            any(match.group(2) not in ":-" for match in found)
            or 0 in numbers
            or _LEGEND_HEAD.search(text[: found[0].start()].rstrip()) is not None
        )
        is_cut = len(numbers) > 2 and numbers == set(range(scale.minimum, max(numbers) + 1))
        if is_legend and (not all(map(scale.holds, numbers)) or (is_cut and max(numbers) < scale.maximum)):
            yield found[0].group()


def _reversed_meanings(text: str, scale: Scale) -> Iterator[str]:
    """Places that call the lowest rating the best, or the highest the worst."""
    for match in _MEANING.finditer(text):
        number, meaning = int(match.group(1)), match.group(2)
        upside_down = (number == scale.minimum and _GOOD.match(meaning)) or (
            number == scale.maximum and _BAD.match(meaning)
        )
        if upside_down and not place_of(match).before.rstrip().endswith(("to", "-", "of", "from")):
            yield match.group()


def _is_denied(match: re.Match[str]) -> bool:
    """Whether "go below 1" is forbidden, before the phrase or within it: "can never exceed 5"."""
    is_inside = re.search(r"\b(?:not|never|no|cannot)\b", match.group()) is not None
    return is_inside or is_negated(match.string, match.start())

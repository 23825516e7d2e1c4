"""Ranges, fractions and lists of numbers that would make another scale.

Talk about some ratings of the scale is legal ("ratings 3-4 are for ..."), and so is every range that counts or dates
something. For prepared text, see `numbers`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from judge_serve.judging.scale import Scale
from optimize_workers.guardrails.numbers import NUMBER, RATING_WORDS, Place, place_of, with_numbers
from optimize_workers.guardrails.phrases import any_of, is_negated

_LEADING_WORD = re.compile(r"[a-z]+")  # "between" of "between 1 and 4"
_UPPER = r"(\d{1,4}(?:\.\d+)?)"
_NOTE = r"\s*(?:\([^()\n]{0,40}\)\s*)?"  # "1 (bad) to 3 (good)"
_RANGES = (
    re.compile(rf"({NUMBER}){_NOTE}(?:-|-?to-?|through|thru|until|till|up to|\.\.+|->)\s*{_UPPER}(?![\w/]|-?\d|\.\d)"),
    re.compile(rf"\b(?:between|from)\s+({NUMBER}){_NOTE}(?:and|up to)\s+{_UPPER}(?![\w/]|\.\d)"),
    re.compile(rf"\b(?:in|within|from|range|between)\s*[\[(]\s*({NUMBER})\s*[,;]\s*{_UPPER}\s*[\])]"),
    re.compile(rf"({NUMBER})\s*<=?\s*(?:the )?\w+\s*<=?\s*{_UPPER}(?![\w/]|\.\d)"),
)
_BELOW_ZERO = re.compile(r"(?<![\w.)-])-\d+ ?(?:to|through|and|-|\.\.+) ?\+?\d+\b(?![-/])")
_FIRST_YEAR = 1900
_PLACES = re.compile(
    r"\b(?:pages?|sections?|steps?|lines?|versions?|chapters?|parts?|tables?|floors?|weeks?|top|q)\s*$"
)
_SCALE = any_of(
    r"\bscale\s*(?:of|from|is|runs|goes|:|=|,|that runs|running|ranging)?(?:\s+(?:from|of|between|now|only))?\s*\(?$",
    r"\brange\s*(?:of|from|is|:)?(?:\s+from)?\s*\(?$",
    r"\b(?:ranges|ranging|runs?|running|goes)\s+(?:from|between)\s*\(?$",
)
# who says so in front of some ratings of the scale makes them all of it
_DEFINES = any_of(
    r"^\W*(?:relevance )?(?:ratings?|scores?|grades?)\s*[:=]\s*\(?$",
    r"(?:^|[;:,(]\s*)(?:(?:please|always|then|only|just) )*(?:rate|score|grade|judge)(?: (?:it|them|each|every|all|the|"
    r"documents?|pairs?|items?|results?|relevance|only|just|by|with|using))*\s*$",
    r"\b(?:rate|score|grade|judge|evaluate)\b[^\n.;:]{0,40}\b(?:from|on|between|as|with|using)\s*$",
    r"\b(?:ratings?|scores?|grades?|numbers?|integers?|values?|digits?) (?:must be |is |are |run |runs )?"
    r"(?:only |just )?(?:from|between|in the range|ranging from|within|in|using|on)\s*$",
    r"\b(?:use|using|with|choose|pick|assign|give)(?: only)? (?:the |a )?(?:numbers?|ratings?|scores?|grades?|values?|"
    r"integers?)(?: of)?\s*$",
    r"\b(?:from|in|within)\s*$",
)
_AS_SCALE = re.compile(r" as (?:your |the )?(?:ratings?|scores?|grades?|scale)\b")
_ENDS = any_of(
    r"\s*(?:\([^()\n]*\)\s*)?(?:$|[.!);:,])",
    r"\s*(?:only|inclusive|depending|based|according|by|instead|rather|where 1|with 1|,? where|as)\b",
)
_OUT_OF = re.compile(
    r"(?:(\d+(?:\.\d+)?|\bx|_+)\s*)?\bout of (?:a (?:possible |total of |maximum of )?)?(\d+)\b(?!\.\d)"
)
_FRACTION = re.compile(r"(?<![\w./-])(\d{1,3}(?:\.\d+)?|x|n|_+)\s?/\s?(\d{1,3})(?![\w/-]|\.\d)")
_SCALE_TOPS = frozenset({2, 3, 4, 5, 6, 7, 8, 9, 10, 20, 50, 100})
_LIST = re.compile(
    r"(?<![\w.,-])(\d{1,3}(?:\s*[,/|]\s*\d{1,3}){0,10}\s*,?\s*(?:[,/|]|\b(?:or|and)\b|&)\s*\d{1,3})(?![\w%/-]|[.,]\d)"
)
_MOST_OF_A_SCALE = 100
_ONLY = any_of(
    r"\b(?:possible|allowed|valid|available|permitted) (?:ratings?|scores?|values?|grades?)(?: are|:)\s*$",
    r"\b(?:the|your|our) (?:ratings?|scores?|grades?|rating values) (?:are|is 1 of)\s*:?\s*$",
    r"\b(?:only|just|exclusively|solely|nothing but|either|restrict\w*|limit\w*)\b"
    r"(?: (?:use|using|give|assign|choose|answer|with|from|the|to|a|ratings?|scores?|grades?|values?|numbers?|digits?|"
    r"of|one|between|return|output|as|be|yourself|itself|your|extremes?|ends))*\s*[:(]?\s*$",
    r"\b(?:answer|reply|respond|output|return|print)(?: (?:only|just|with|using|by|the|a|of|1 of|either|digits?|"
    r"numbers?|ratings?|integers?))*\s*[:(]?\s*$",
    r"\b(?:only|extremes only|ends only)\s*:\s*$",
)
_ALLOWED = re.compile(
    r"\s*(?:\([^()\n]*\)\s*)?(?:$|[.!)]|(?:are|is) (?:allowed|valid|possible|permitted|used)|only\b|exist)"
)


def foreign_ranges(text: str, scale: Scale) -> Iterator[str]:
    """Each range, fraction or list that makes a scale other than the task's, as found."""
    text = with_numbers(text)
    for pattern in _RANGES:
        for match in pattern.finditer(text):
            low, high = sorted(float(number) for number in match.groups() if number)
            if not is_negated(text, match.start()) and _is_foreign_range(low, high, place_of(match), scale):
                yield match.group()
    for match in _BELOW_ZERO.finditer(text):
        if place_of(match).is_about_ratings and not is_negated(text, match.start()):
            yield match.group()
    for match in (*(_OUT_OF.finditer(text) if "out of" in text else ()), *_FRACTION.finditer(text)):
        is_fraction = _is_foreign_fraction(match.group(1), int(match.group(2)), place_of(match), scale)
        if is_fraction and not is_negated(text, match.start()):
            yield match.group()
    for match in _LIST.finditer(text):
        numbers = {int(number) for number in re.findall(r"\d+", match.group())}
        if _is_foreign_list(numbers, place_of(match), scale) and not is_negated(text, match.start()):
            yield match.group()


def _is_foreign_range(low: float, high: float, place: Place, scale: Scale) -> bool:
    is_whole = (low, high) == (scale.minimum, scale.maximum)
    if is_whole or high >= _FIRST_YEAR or _PLACES.search(place.before):
        return False
    is_framed = _SCALE.search(place.before) is not None
    if place.counts_something and not is_framed:
        return False
    if not (scale.holds(low) and scale.holds(high)):
        return is_framed or place.is_about_ratings
    if _AS_SCALE.match(place.after):
        return True
    led_by = _LEADING_WORD.match(place.found)
    defines = is_framed or _DEFINES.search(place.before + (led_by.group() if led_by else "")) is not None
    names_an_end = low == scale.minimum or is_framed or place.found.startswith("between")
    return defines and names_an_end and _ENDS.match(place.after) is not None and not place.is_conditional


def _is_foreign_fraction(part: str | None, top: int, place: Place, scale: Scale) -> bool:
    is_part = part is None or not part[0].isdigit() or float(part) <= top  # 24/7 is none
    if top == scale.maximum or top not in _SCALE_TOPS or not is_part or place.counts_something:
        return False
    return part is None or place.is_about_ratings


def _is_foreign_list(numbers: set[int], place: Place, scale: Scale) -> bool:
    if place.counts_something:
        return False
    if not numbers <= set(scale.ratings):
        speaks_of_ratings = re.search(rf"\b{RATING_WORDS}\b", place.before + place.after) is not None
        return len(numbers) > 2 and max(numbers) <= _MOST_OF_A_SCALE and speaks_of_ratings
    is_closed = _ALLOWED.match(place.after) is not None
    restricts = _ONLY.search(place.before) is not None or " allowed" in place.after[:15]
    is_rule_for_some = place.is_conditional and not place.before.rstrip().endswith(":")
    return restricts and is_closed and numbers != set(scale.ratings) and not is_rule_for_some

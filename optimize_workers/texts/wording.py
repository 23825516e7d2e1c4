"""How the rules read a text: one spelling of digits, dashes and quotes; words; sentences."""

from __future__ import annotations

import re
import unicodedata

_DASHES = "\u2010\u2011\u2012\u2013\u2014\u2015\u2212\ufe58\ufe63\uff0d"
_INVISIBLE = "\u00ad\u200b\u200c\u200d\u200e\u200f\u2060\ufe0e\ufe0f\u20e3\ufeff"  # the last but one makes keycaps
_SPELLING = str.maketrans(
    {
        **dict.fromkeys(_DASHES, "-"),
        **dict.fromkeys(_INVISIBLE),
        **dict.fromkeys("\u2018\u2019\u201a\u02bc", "'"),
        **dict.fromkeys("\u201c\u201d\u201e\u00ab\u00bb", '"'),
        "\u2044": "/",
        "\u2026": "...",
        "\u2192": "->",
        "\u2264": "<=",
    }
)
_FRACTIONS = str.maketrans({"\u00bd": ".5", "\u00bc": ".25", "\u00be": ".75"})
_FOREIGN_DIGIT = re.compile(r"[^\D0-9]")
_CJK = "\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uac00-\ud7af"  # written without spaces: each character is a word
_WORD = re.compile(rf"[{_CJK}]|[^\W{_CJK}]+")
_EMPHASIS = re.compile(r"\*+|(?<!\w)_+(?=\w)|(?<=\w)_+(?!\w)")
_QUOTED_NUMBER = re.compile(r"[\"'](\d+(?:\.\d+)?)[\"']")
# a full stop ends a sentence unless it closes one of these abbreviations
_SENTENCE_END = re.compile(r"(?<=[.!?])(?<!\be\.g\.)(?<!\bi\.e\.)(?<!\betc\.)(?<!\bvs\.)(?<!\bcf\.)[\"')\]]*\s+")
_WRAPPED_LINE = re.compile(r"(?<=[^\s.!?:;])[ \t]*\n[ \t]*(?=[a-z(]|\d+(?:\s+(?:to|through|or|and)\b|-\d))")

_ONES = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
_TEENS = ("ten", "eleven", "twelve", "thirteen", "fourteen", "fifteen", "sixteen", "seventeen", "eighteen", "nineteen")
_TENS = ("twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety")
_NUMBERS = {word: n for n, word in enumerate((*_ONES, *_TEENS))} | {word: 20 + 10 * n for n, word in enumerate(_TENS)}
_NUMBERS |= {"hundred": 100, "thousand": 1000}
_COMPOUND = re.compile(rf"\b({'|'.join(_TENS)})[- ]({'|'.join(_ONES[1:])})\b")
_HUNDRED = re.compile(r"\b(?:one|a)[- ](hundred|thousand)\b")
_NUMBER_WORD = re.compile(rf"\b({'|'.join(_NUMBERS)})\b")


def normalised(text: str) -> str:
    """The text with compatibility forms, digits, dashes and quotes in their plain spelling."""
    if text.isascii():
        return text
    text = unicodedata.normalize("NFKC", text.translate(_FRACTIONS)).translate(_SPELLING)
    return _FOREIGN_DIGIT.sub(lambda match: str(unicodedata.digit(match.group(), 0)), text)


def plain(text: str) -> str:
    """A normalised text in lower case, without Markdown's emphasis, with code marks as quotes and numbers in digits."""
    text = _EMPHASIS.sub("", text.lower().replace("`", '"')).replace("_", " ")
    return _QUOTED_NUMBER.sub(r"\1", numbers_as_digits(text))


def words_of(text: str) -> list[str]:
    """Words of a normalised text, in their own case."""
    return _WORD.findall(text)


def sentences_of(text: str) -> list[str]:
    """Sentences and lines of a normalised text, one space between words; a line wrapped within one is no end."""
    sentences = (
        " ".join(sentence.split())
        for line in _WRAPPED_LINE.sub(" ", text).splitlines()
        for sentence in _SENTENCE_END.split(line)
    )
    return [sentence for sentence in sentences if sentence]


def numbers_as_digits(text: str) -> str:
    """A lower-case text with number words written in digits ("from one to ten" -> "from 1 to 10")."""
    text = _COMPOUND.sub(lambda match: str(_NUMBERS[match.group(1)] + _NUMBERS[match.group(2)]), text)
    return _NUMBER_WORD.sub(lambda match: str(_NUMBERS[match.group()]), _HUNDRED.sub(r"\1", text))


def shortened(text: str, most: int = 80) -> str:
    """At most so many characters of a text, for a message."""
    text = " ".join(text.split())
    return text if len(text) <= most else text[: most - 4] + " ..."

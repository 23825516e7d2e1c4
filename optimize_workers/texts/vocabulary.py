"""Words of common English: what a text may say although an example says it too.

The lists in `words/`:
- `grammar`: words without a topic;
- `rubric`: the language of rubrics and of answering, in which every honest instruction is written;
- `common`: the lower-case words that the tokenizer of the embedded model (SmolLM2, Apache-2.0) learned whole from its
  English corpus, names taken out, with only the base of what `variants` leads back;
- `further`: words and abbreviations that are common too and that the tokenizer does not hold;
- `calendar`: what is written with a capital and is nobody's name.

A word in none of them is rare: a name, jargon, a code, a slip of the pen.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cache, lru_cache
from importlib import resources

_SUFFIXES = (
    ("s", ""),
    ("es", ""),
    ("ies", "y"),
    ("ed", ""),
    ("ed", "e"),
    ("ied", "y"),
    ("ing", ""),
    ("ing", "e"),
    ("ly", ""),
    ("er", ""),
    ("er", "e"),
    ("ers", ""),
    ("ers", "e"),
    ("est", ""),
    ("ness", ""),
    ("able", ""),
    ("less", ""),
    ("ful", ""),
    ("iable", "y"),
    ("ability", "able"),
    ("ibility", "ible"),
    ("ation", "e"),
    ("ation", ""),
    ("ise", "ize"),
    ("ised", "ize"),
    ("ises", "ize"),
    ("ising", "ize"),
    ("isation", "ization"),
    ("our", "or"),
    ("ours", "or"),
    ("oured", "or"),
    ("tre", "ter"),
    ("lled", "l"),
    ("lling", "l"),
    ("ment", ""),
    ("ments", ""),
)
_PREFIXES = ("un", "re", "non", "mis", "pre", "over", "out", "under", "sub")
_MIN_BASE_CHARS = 3
_ENDINGS = (
    *("ization", "isation", "ement", "ation", "ingly", "ment", "edly", "ness", "able", "ible", "ally", "ance", "ence"),
    *("ity", "ize", "ise", "ion", "ing", "ied", "al", "er", "or", "ed", "ly", "ie", "e", "y"),
)
_MIN_STEM_CHARS = 3
_MIN_TEXT_WORDS = 8
_MIN_GRAMMAR_SHARE = 0.15  # English texts have a third or more, others a stray word


@cache
def words_in(name: str) -> frozenset[str]:
    """A list of `words/`."""
    return frozenset(resources.files(__package__).joinpath("words", f"{name}.txt").read_text(encoding="utf-8").split())


def is_grammar(word: str) -> bool:
    """Whether a lower-case word is one without a topic."""
    return word in words_in("grammar")


@lru_cache(maxsize=50_000)
def is_common(word: str) -> bool:
    """Whether a lower-case word, or what it is derived from, is common English."""
    return not _common_words().isdisjoint(variants(word))


def is_mostly_english(words: Sequence[str]) -> bool:
    """Whether a text is English: half of its words are common, and grammar has its usual share where there is some."""
    num_common, num_grammar = sum(map(is_common, words)), sum(map(is_grammar, words))
    is_too_short = len(words) < _MIN_TEXT_WORDS  # "Judge strictly." has no grammar
    return num_common * 2 >= len(words) and (is_too_short or num_grammar >= _MIN_GRAMMAR_SHARE * len(words))


@lru_cache(maxsize=50_000)
def has_no_topic(word: str) -> bool:
    """Whether a lower-case word belongs to grammar or to the language of rubrics."""
    return not _topicless_words().isdisjoint(_endings_off(word))


def has_capital_by_rule(word: str) -> bool:
    """Whether a lower-case word is written with a capital without being a name: days, months, languages."""
    return word in words_in("calendar") or has_no_topic(word)


@lru_cache(maxsize=50_000)
def stem(word: str) -> str:
    """What the forms of a lower-case word have in common ("approves", "approval" -> "approv"); crude, for matching."""
    if not word.isalpha() or len(word) <= _MIN_STEM_CHARS:
        return word
    if word.endswith("s") and not word.endswith("ss"):
        word = word[:-1]
    for ending in _ENDINGS:
        if word.endswith(ending) and len(word) - len(ending) >= _MIN_STEM_CHARS:
            word = word[: -len(ending)]
            break
    if len(word) > _MIN_STEM_CHARS and word[-1] == word[-2]:
        return word[:-1]
    return word[:-1] if word[-1] in "eiy" and len(word) > _MIN_STEM_CHARS else word


@lru_cache(maxsize=50_000)
def variants(word: str) -> frozenset[str]:
    """A lower-case word and the simpler words that it may be derived from."""
    return frozenset(_bases(word))


@cache
def _common_words() -> frozenset[str]:
    return frozenset().union(*map(words_in, ("common", "further", "calendar", "grammar", "rubric")))


@cache
def _topicless_words() -> frozenset[str]:
    return words_in("grammar") | words_in("rubric")


def _bases(word: str) -> Iterator[str]:
    yield from _endings_off(word)
    for prefix in _PREFIXES:
        if word.startswith(prefix) and len(word) - len(prefix) > _MIN_BASE_CHARS:
            yield from _endings_off(word[len(prefix) :])
    if word.endswith("s"):
        yield from _endings_off(word[:-1])


def _endings_off(word: str) -> Iterator[str]:
    yield word
    for suffix, replacement in _SUFFIXES:
        base = len(word) - len(suffix)
        if word.endswith(suffix) and base >= _MIN_BASE_CHARS:
            yield word[:base] + replacement
            if suffix in ("ed", "ing", "er", "ers") and base > _MIN_BASE_CHARS and word[base - 1] == word[base - 2]:
                yield word[: base - 1]  # planned -> plan

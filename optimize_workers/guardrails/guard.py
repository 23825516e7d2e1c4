"""The guard: each rule over a proposed instruction, cheapest first."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from judge_serve.judging.program import MAX_SECTION_CHARS
from judge_serve.judging.scale import Scale
from judge_serve.judging.task import Example
from optimize_workers.guardrails.answer_format import format_changes
from optimize_workers.guardrails.example_texts import ExampleTexts
from optimize_workers.guardrails.scale_ranges import foreign_ranges
from optimize_workers.guardrails.scale_ratings import foreign_ratings
from optimize_workers.guardrails.scale_words import foreign_words
from optimize_workers.guardrails.template import handovers, prompt_syntax
from optimize_workers.texts.talk import refusals_in, talk_in
from optimize_workers.texts.wording import normalised, plain, sentences_of, shortened, words_of

REASONS = (
    "empty",
    "unchanged",
    "not_language",
    "too_long",
    "refusal",
    "chatter",
    "template",
    "scale_change",
    "format_change",
    "data_rule",
    "leaked_rating",
    "copied_text",
    "copied_token",
)
MAX_GROWTH = 3.0  # times the length of the baseline, plus the allowance
GROWTH_ALLOWANCE_CHARS = 1_500
MIN_BOUND_CHARS = 3_000  # a page, however short the baseline
_MAX_SYMBOL_SHARE = 0.5  # of what is no white space; numbers, code and symbols have more
_MIN_JUDGED_CHARS = 30  # a shorter text may be a formula
_MIN_REPEATS = 4
_MAX_REPEATED_SHARE = 0.5  # of the lines of a text that repeat one line
_MAX_WORD_CHARS = 60
_UNPRINTABLE = re.compile("[\x00-\x08\x0e-\x1f\x7f\ud800-\udfff\ue000-\uf8ff\ufffd\u202a-\u202e\u2066-\u2069]")
_SYMBOLS = re.compile(r"[\x21-\x40\x5b-\x60\x7b-\x7e\u2000-\u2bff]+")  # of ASCII, and general punctuation
# a rating of the scale that stands alone, in a sentence that says "is", "rated", "=" or the like
_BARE_NUMBER = re.compile(
    r"(?<![\w.,/%$-])(\d)(?![\w%/:-]|[.,]\d)(?=\s*(?:$|[^\w\s%-]|(?:and|as|at|because|by|for|if|in|instead|is|means?|"
    r"on|only|or|points?|rather|rating|since|so|that|to|unless|when|where|with|stars?)\b))"
)
_RATES = re.compile(
    r"\b(?:rat(?:e|es|ed|ing|ings)|scor(?:e|es|ed|ing)|grad(?:e|es|ed|ing)|marks?|marked|gets?|gives?|gave|given|"
    r"deserves?|receives?|earns?|warrants?|merits?|assign(?:ed)?|labell?ed|worth|is|are|was|were|be|gold|humans?|answer|"
    r"people|annotators?)\b|[=:>]"
)
_DIGIT = re.compile(r"\d")
_LIST_NUMBER = re.compile(r"^(?:[-*\u2022]\s*)?(?:step )?\d{1,2}[.):]\s+")
_COUNTED_ONE = re.compile(r"\b(?:rat\w+|scor\w+|grade[sd]?|of|a|to|=|:) one\b|\b1\b")


class Refusal(NamedTuple):
    """Why a text is refused, or a proposal that came to none: the reason, of a text one of `REASONS`, and details."""

    reason: str
    detail: str


class Guardrails:
    """Checks instruction texts against the scale, the baseline and the examples that they were written from."""

    def __init__(
        self,
        scale: Scale,
        baseline_instruction: str,
        examples: Iterable[Example],
        own_texts: Sequence[str] = (),
    ) -> None:
        """Index the examples once; a text is then checked in a few milliseconds.

        Args:
            scale: the task's own; every other one is refused.
            baseline_instruction: its sentences and words are always legal.
            examples: train *and* validation examples.
            own_texts: further texts whose words are legal, such as the task's description.
        """
        self._scale = scale
        bound = max(MIN_BOUND_CHARS, MAX_GROWTH * len(baseline_instruction) + GROWTH_ALLOWANCE_CHARS)
        self._max_chars = max(int(min(bound, MAX_SECTION_CHARS)), len(baseline_instruction))
        own_texts = [*scale.anchors, *own_texts]
        self._own_sentences = {
            sentence.lower()
            for text in (baseline_instruction, *own_texts)
            for sentence in sentences_of(normalised(text))
        }
        self._texts = ExampleTexts(examples, baseline_instruction, own_texts)
        heads = (re.split(r"[:,;(]", anchor)[0].strip().lower() for anchor in scale.anchors)
        self._anchor_heads = tuple(head for head in heads if " " in head)

    def refusal(self, text: str, current: str | None = None) -> str | None:
        """Why an instruction is refused, one of `REASONS`, or None; see `explain`."""
        refused = self.explain(text, current)
        return refused.reason if refused else None

    def explain(self, text: str, current: str | None = None) -> Refusal | None:
        """Why an instruction is refused and what was found, or None if it is not.

        Args:
            text: a whole instruction or a section of one.
            current: the text that a proposal is to replace; repeating it is `unchanged`.
        """
        return next(self._refusals(text, current), None)

    def _refusals(self, text: str, current: str | None) -> Iterator[Refusal]:
        if not text.strip():
            yield Refusal("empty", "no text")
            return
        if current is not None and text.split() == current.split():
            yield Refusal("unchanged", "the text that it is to replace")
        if len(text) > self._max_chars:
            yield Refusal("too_long", f"{len(text)} characters, at most {self._max_chars}")
            return  # the rules below take time in proportion
        text = normalised(text)
        sentences = [s for s in sentences_of(text) if s.lower() not in self._own_sentences]
        yield from _no_language(text, sentences)
        if not sentences:
            return
        yield from _first("refusal", refusals_in(sentences))
        yield from _first("chatter", talk_in(sentences))
        yield from _first("template", prompt_syntax("\n".join(sentences).lower()))
        said = plain("\n".join(sentences))
        for find in (foreign_ranges, foreign_ratings, foreign_words):
            yield from _first("scale_change", find(said, self._scale))
        yield from _first("format_change", format_changes(said))
        yield from _first("data_rule", handovers(said))
        spoken = [[word.lower() for word in words_of(sentence)] for sentence in sentences]
        yield from _first("leaked_rating", self._leaked_ratings(said.split("\n"), sentences, spoken))
        yield from _first("copied_text", self._copies(spoken))
        yield from _first("copied_token", self._tokens(sentences, spoken))

    def _leaked_ratings(
        self, said: Sequence[str], sentences: Sequence[str], spoken: Sequence[Sequence[str]]
    ) -> Iterator[str]:
        for plainly, sentence, words in zip(said, sentences, spoken, strict=True):
            if self._rates(plainly, sentence) and (topic := self._texts.topic(words)):
                yield f"{topic}: {sentence}"

    def _rates(self, plainly: str, sentence: str) -> bool:
        """Whether a sentence speaks of a rating: a bare number of the scale, or the name of one."""
        if any(head in plainly for head in self._anchor_heads):
            return True
        if not _DIGIT.search(plainly) or not _RATES.search(plainly):
            return False
        plainly = _LIST_NUMBER.sub("", plainly)
        numbers = {int(number) for number in _BARE_NUMBER.findall(plainly)}
        if 1 in numbers and not _COUNTED_ONE.search(sentence.lower()):
            numbers.discard(1)  # "the one that"
        return any(map(self._scale.holds, numbers))

    def _copies(self, spoken: Sequence[Sequence[str]]) -> Iterator[str]:
        run = self._texts.copied_run([word for words in spoken for word in words])
        if run:
            yield run
        for words in spoken:
            found = self._texts.copied_query(words) or self._texts.retold(words)
            if found:
                yield found

    def _tokens(self, sentences: Sequence[str], spoken: Sequence[Sequence[str]]) -> Iterator[str]:
        words = dict.fromkeys(word for words in spoken for word in words)
        found = self._texts.mark("\n".join(sentences)) or self._texts.rare_word(words)
        if found:
            yield found


def refusal_to_write(reply: str) -> Refusal | None:
    """A reply that refuses to write what it was asked for, as the refusal of the proposal."""
    return next(_first("refusal", refusals_in(sentences_of(normalised(reply)))), None)


def _first(reason: str, found: Iterator[str]) -> Iterator[Refusal]:
    """A refusal for the first thing found, if any."""
    for detail in found:
        yield Refusal(reason, shortened(detail))
        return


def _no_language(text: str, sentences: Sequence[str]) -> Iterator[Refusal]:
    if _UNPRINTABLE.search(text):
        yield Refusal("not_language", "control or private characters")
    num_visible = len("".join(text.split()))
    num_symbols = sum(map(len, _SYMBOLS.findall(text)))
    if num_visible >= _MIN_JUDGED_CHARS and num_symbols > _MAX_SYMBOL_SHARE * num_visible:
        yield Refusal("not_language", f"{num_symbols} digits and symbols in {num_visible} characters")
    longest = max(words_of(text), key=len, default="")
    if len(longest) > _MAX_WORD_CHARS:
        yield Refusal("not_language", shortened(longest))
    for sentence, repeats in Counter(sentences).items():
        if repeats >= _MIN_REPEATS and repeats > _MAX_REPEATED_SHARE * len(sentences):
            yield Refusal("not_language", f"{repeats} times: {shortened(sentence)}")

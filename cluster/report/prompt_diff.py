"""What differs between two programs, word by word, section by section, so that long texts stay readable."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from difflib import SequenceMatcher
from typing import NamedTuple

from cluster.report.blocks import Section, cut
from cluster.report.record import Record
from judge_serve.judging.program import Demonstration, Program

SAME, REMOVED, ADDED, SKIPPED = "same", "removed", "added", "skipped"
_CONTEXT_WORDS = 25  # kept of an unchanged run, beside what changed
_MIN_SKIPPED_WORDS = 30
_MIN_SAME_WORDS = 3  # a shorter run between two changes reads better as changed too
_MIN_ALIKE = 0.35  # share of words in common, under which a text counts as rewritten
_MAX_SHOWN_CHARS = 600  # of a demonstration's document
_WORD = re.compile(r"\S+\s*|\s+")


class Piece(NamedTuple):
    """A run of words that stayed, was removed or added; of a skipped one `text` says how much it is."""

    what: str
    text: str


class Difference(NamedTuple):
    """What became of a part of the program; pieces without any change where it stayed."""

    title: str
    pieces: tuple[Piece, ...]
    is_list: bool = False  # pieces are whole texts, one below the other

    @property
    def is_changed(self) -> bool:
        """Whether anything was removed or added."""
        return any(piece.what in (REMOVED, ADDED) for piece in self.pieces)


class Prompts(NamedTuple):
    """The differences in the prompt's order, and both prompts in whole."""

    differences: tuple[Difference, ...]
    wholes: tuple[tuple[str, str], ...]


def prompts(record: Record) -> Section:
    """The prompt of the judge that the report is about; beside a baseline, what differs."""
    program = record.release.judge.program
    before = record.baseline
    if before is None or record.before is None:
        return Section("prompt", "Prompt", partial="prompt.html", content=Prompts((), (("judge", whole(program)),)))
    differences = differences_of(before, program)
    said = "" if any(one.is_changed for one in differences) else "The winner's prompt is the baseline's."
    wholes = (("baseline", whole(before)), ("winner", whole(program)))
    return Section(
        "prompt",
        "Prompt, baseline to winner",
        paragraphs=(said,) if said else (),
        partial="prompt.html",
        content=Prompts(differences, wholes),
    )


def differences_of(before: Program, after: Program) -> tuple[Difference, ...]:
    """Differences of sections by name, of bullets and of demonstrations."""
    names = list(dict.fromkeys((*before.sections, *after.sections)))
    sections = [
        Difference(f"section {name}", word_diff(before.sections.get(name, ""), after.sections.get(name, "")))
        for name in names
    ]
    bullets = Difference("bullets", _list_diff(before.bullets, after.bullets), is_list=True)
    shown = [[_shown(one) for one in program.demonstrations] for program in (before, after)]
    demonstrations = Difference("demonstrations", _list_diff(*shown), is_list=True)
    return tuple(one for one in (*sections, bullets, demonstrations) if one.pieces)


def word_diff(before: str, after: str) -> tuple[Piece, ...]:
    """Runs of words that stayed, were removed or added; a text that is hardly the same one is replaced as a whole.

    Removed words without what was skipped are those of `before`, added ones those of `after`.
    """
    if before == after:
        return tuple(_shortened([Piece(SAME, before)])) if before else ()
    old, new = _WORD.findall(before), _WORD.findall(after)
    matcher = SequenceMatcher(None, [w.strip() for w in old], [w.strip() for w in new], autojunk=len(old) > 2_000)
    if matcher.ratio() < _MIN_ALIKE:
        return tuple(piece for piece in (Piece(REMOVED, before), Piece(ADDED, after)) if piece.text)
    return tuple(_shortened(_merged(_pieces(matcher, old, new))))


def whole(program: Program) -> str:
    """A program as one text, long documents of demonstrations cut."""
    sections = [f"[{name}]\n{text.strip()}" for name, text in program.sections.items()]
    bullets = "\n".join(f"- {bullet}" for bullet in program.bullets)
    shown = "\n\n".join(_shown(one) for one in program.demonstrations)
    return "\n\n".join(filter(None, (*sections, bullets, shown)))


def _pieces(
    matcher: SequenceMatcher[str], old: Sequence[str], new: Sequence[str]
) -> Iterator[tuple[list[str], list[str]]]:
    """Pairs of (removed, added) words; equal lists are words that stayed."""
    for what, i1, i2, j1, j2 in matcher.get_opcodes():
        if what == "equal":  # a last word has no space after it, which it may need in the middle of the other text
            same = [max(pair, key=len) for pair in zip(old[i1:i2], new[j1:j2], strict=True)]
            yield same, same
        else:
            yield list(old[i1:i2]), list(new[j1:j2])


def _merged(runs: Iterator[tuple[list[str], list[str]]]) -> Iterator[Piece]:
    """The runs as pieces, short unchanged ones between two changes counted to these."""
    listed = list(runs)
    removed: list[str] = []
    added: list[str] = []
    for place, (old, new) in enumerate(listed):
        is_same = old == new
        is_short = is_same and len(new) < _MIN_SAME_WORDS and 0 < place < len(listed) - 1
        if not is_same or is_short:
            removed, added = removed + old, added + new
            continue
        yield from _change(removed, added)
        removed, added = [], []
        yield Piece(SAME, "".join(new))
    yield from _change(removed, added)


def _change(removed: Sequence[str], added: Sequence[str]) -> Iterator[Piece]:
    for what, words in ((REMOVED, removed), (ADDED, added)):
        if words:
            yield Piece(what, "".join(words))


def _shortened(pieces: Iterator[Piece] | list[Piece]) -> Iterator[Piece]:
    """Long unchanged runs with their middle left out; beside a change some words stay."""
    listed = list(pieces)
    for place, piece in enumerate(listed):
        words = _WORD.findall(piece.text)
        head = _CONTEXT_WORDS if place > 0 else 0
        tail = _CONTEXT_WORDS if place < len(listed) - 1 else 0
        num_skipped = len(words) - head - tail
        if piece.what != SAME or num_skipped < _MIN_SKIPPED_WORDS:
            yield piece
            continue
        if head:
            yield Piece(SAME, "".join(words[:head]))
        yield Piece(SKIPPED, f"{num_skipped:,} words unchanged")
        if tail:
            yield Piece(SAME, "".join(words[-tail:]))


def _list_diff(before: Sequence[str], after: Sequence[str]) -> tuple[Piece, ...]:
    """Differences of lists of texts, each text as a whole."""
    matcher = SequenceMatcher(None, before, after, autojunk=False)
    pieces = []
    for what, i1, i2, j1, j2 in matcher.get_opcodes():
        if what == "equal":
            pieces += [Piece(SAME, text) for text in after[j1:j2]]
        else:
            pieces += [Piece(REMOVED, text) for text in before[i1:i2]]
            pieces += [Piece(ADDED, text) for text in after[j1:j2]]
    return tuple(pieces)


def _shown(one: Demonstration) -> str:
    texts = (
        cut(one.query, _MAX_SHOWN_CHARS),
        cut(one.document, _MAX_SHOWN_CHARS),
        cut(one.explanation, _MAX_SHOWN_CHARS),
    )
    return f"[{one.rating}] " + " / ".join(filter(None, texts))

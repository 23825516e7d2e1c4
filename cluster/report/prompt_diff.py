"""What differs between two programs, word by word, section by section, so that long texts stay readable."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from difflib import SequenceMatcher
from typing import NamedTuple

from cluster.report.blocks import Section, cut
from cluster.report.record import Record
from judge_serve.judging.program import Demonstration, Program
from optimize_workers.texts.word_diff import ADDED, REMOVED, SAME, Piece, word_pieces, words_of

SKIPPED = "skipped"  # a piece that says how much of an unchanged run is left out
_CONTEXT_WORDS = 25  # kept of an unchanged run, beside what changed
_MIN_SKIPPED_WORDS = 30
_MAX_SHOWN_CHARS = 600  # of a demonstration's document


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
    """Pieces of two texts as `word_pieces` finds them, long unchanged runs with their middle left out."""
    return tuple(_shortened(word_pieces(before, after)))


def whole(program: Program) -> str:
    """A program as one text, long documents of demonstrations cut."""
    sections = [f"[{name}]\n{text.strip()}" for name, text in program.sections.items()]
    bullets = "\n".join(f"- {bullet}" for bullet in program.bullets)
    shown = "\n\n".join(_shown(one) for one in program.demonstrations)
    return "\n\n".join(filter(None, (*sections, bullets, shown)))


def _shortened(pieces: Sequence[Piece]) -> Iterator[Piece]:
    """Long unchanged runs with their middle left out; beside a change some words stay."""
    for place, piece in enumerate(pieces):
        words = words_of(piece.text)
        head = _CONTEXT_WORDS if place > 0 else 0
        tail = _CONTEXT_WORDS if place < len(pieces) - 1 else 0
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

"""What differs between two texts, word by word: runs of words that stayed, were removed or were added."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from difflib import SequenceMatcher
from typing import NamedTuple

SAME, REMOVED, ADDED = "same", "removed", "added"
_MIN_SAME_WORDS = 3  # a shorter run between two changes reads better as changed too
_MIN_ALIKE = 0.35  # share of words in common, under which a text counts as rewritten
_MAX_EXACT_WORDS = 2_000  # beyond it words that are everywhere are left out of the alignment, which would take minutes
_WORD = re.compile(r"\S+\s*|\s+")


class Piece(NamedTuple):
    """A run of words and what became of it."""

    what: str
    text: str


def words_of(text: str) -> list[str]:
    """Words with the white space after them."""
    return _WORD.findall(text)


def word_pieces(before: str, after: str) -> list[Piece]:
    """Runs of words in order; a text that is hardly the same one is replaced as a whole.

    Removed and unchanged words are those of `before`, added and unchanged ones those of `after`.
    """
    if before == after:
        return [Piece(SAME, before)] if before else []
    old, new = words_of(before), words_of(after)
    is_long = max(len(old), len(new)) > _MAX_EXACT_WORDS
    matcher = SequenceMatcher(None, [w.strip() for w in old], [w.strip() for w in new], autojunk=is_long)
    if matcher.ratio() < _MIN_ALIKE:
        return [piece for piece in (Piece(REMOVED, before), Piece(ADDED, after)) if piece.text]
    return list(_merged(_aligned(matcher, old, new)))


def _aligned(
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

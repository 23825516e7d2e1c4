"""Merging two programs that go back to one: line by line, as version control merges files."""

from __future__ import annotations

from collections.abc import Mapping
from difflib import SequenceMatcher


def merge_sections(
    base: Mapping[str, str], first: Mapping[str, str], second: Mapping[str, str]
) -> dict[str, str] | None:
    """Sections with the changes of both; None where the two changed the same lines in different ways."""
    merged: dict[str, str] = {}
    for name, text in base.items():
        lines = merge_lines(text.splitlines(), first[name].splitlines(), second[name].splitlines())
        if lines is None:
            return None
        merged[name] = "\n".join(lines)
    return merged


def merge_lines(base: list[str], first: list[str], second: list[str]) -> list[str] | None:
    """Lines with the changes of both versions; lines added in one place by both stand one after the other."""
    changes = sorted({*_changes(base, first), *_changes(base, second)})
    merged: list[str] = []
    at = 0
    added: tuple[int, tuple[str, ...]] = (-1, ())  # what the change before added, and where
    for start, end, lines in changes:
        if start < at:  # both replaced or removed the same lines
            return None
        merged += base[at:start]
        repeated = added[1] if start == end == added[0] else ()
        merged += [line for line in lines if line not in repeated]
        added = (start, lines) if start == end else (-1, ())
        at = end
    return [*merged, *base[at:]]


def _changes(base: list[str], changed: list[str]) -> list[tuple[int, int, tuple[str, ...]]]:
    """What was done to the base: lines from `start` to `end` were replaced by others."""
    matcher = SequenceMatcher(None, base, changed, autojunk=False)
    return [
        (start, end, tuple(changed[first:last]))
        for kind, start, end, first, last in matcher.get_opcodes()
        if kind != "equal"
    ]

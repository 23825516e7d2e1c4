"""What differs between two releases: fields, and the words of their prompts."""

from __future__ import annotations

import re
from collections.abc import Sequence
from difflib import SequenceMatcher
from typing import Any

from judge_serve.judging.program import Demonstration, Program
from judge_serve.judging.release import Release

_WORD = re.compile(r"\S+\s*|\s+")
MAX_EXACT_WORDS = 4_000  # beyond it words that are everywhere are left out of the alignment, which would take minutes


def difference_of(first: Release, second: Release) -> dict[str, Any]:
    """Changed fields with both values, sections word by word, bullets and demonstrations that came or went, as JSON."""
    before, after = first.judge.program, second.judge.program
    return {
        "first": first.id,
        "second": second.id,
        "same": first.digest == second.digest,
        "fields": _fields(first, second),
        "sections": _sections(before, after),
        "bullets": _listed(before.bullets, after.bullets),
        "demonstrations": _listed([*map(_named, before.demonstrations)], [*map(_named, after.demonstrations)]),
    }


def word_changes(before: str, after: str) -> list[dict[str, str]]:
    """Runs of words in order: `{"what": "same" | "removed" | "added", "text"}`."""
    old, new = _WORD.findall(before), _WORD.findall(after)
    is_long = max(len(old), len(new)) > MAX_EXACT_WORDS
    matcher = SequenceMatcher(None, [w.strip() for w in old], [w.strip() for w in new], autojunk=is_long)
    changes = []
    for what, i1, i2, j1, j2 in matcher.get_opcodes():
        runs = [("same", new[j1:j2])] if what == "equal" else [("removed", old[i1:i2]), ("added", new[j1:j2])]
        changes += [{"what": kind, "text": "".join(words)} for kind, words in runs if words]
    return changes


def _fields(first: Release, second: Release) -> list[dict[str, Any]]:
    """Fields with different values: of the judge one by one, of the release its name, calibration and parents."""
    values = []
    for release in (first, second):
        document = release.model_dump(mode="json")
        judge = document["judge"]
        own: dict[str, Any] = {"name": document["name"], "calibration": document["calibration"]}
        for part in sorted(judge.keys() - {"program"}):
            own |= (
                {f"{part}.{key}": value for key, value in judge[part].items()}
                if isinstance(judge[part], dict)
                else {part: judge[part]}
            )
        values.append({**own, "parents": document["parents"]})
    before, after = values
    names = list(dict.fromkeys([*before, *after]))
    return [
        {"field": name, "first": before.get(name), "second": after.get(name)}
        for name in names
        if before.get(name) != after.get(name)
    ]


def _sections(before: Program, after: Program) -> list[dict[str, Any]]:
    names = dict.fromkeys([*before.sections, *after.sections])
    pairs = [(name, before.sections.get(name, ""), after.sections.get(name, "")) for name in names]
    return [{"name": name, "changes": word_changes(old, new)} for name, old, new in pairs if old != new]


def _listed(before: Sequence[str], after: Sequence[str]) -> dict[str, Any]:
    removed, added = ([text for text in one if text not in other] for one, other in ((before, after), (after, before)))
    common = [[text for text in one if text in other] for one, other in ((before, after), (after, before))]
    return {"removed": removed, "added": added, "reordered": common[0] != common[1]}


def _named(shown: Demonstration) -> str:
    return f"[{shown.rating}] {shown.query} / {shown.document}" + (
        f" / {shown.explanation}" if shown.explanation else ""
    )

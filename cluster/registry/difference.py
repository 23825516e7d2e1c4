"""What differs between two releases: fields, and the words of their prompts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from judge_serve.judging.program import Demonstration, Program
from judge_serve.judging.release import Release
from optimize_workers.texts.word_diff import word_pieces


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
    return [
        {"name": name, "changes": [piece._asdict() for piece in word_pieces(old, new)]}
        for name, old, new in pairs
        if old != new
    ]


def _listed(before: Sequence[str], after: Sequence[str]) -> dict[str, Any]:
    removed, added = ([text for text in one if text not in other] for one, other in ((before, after), (after, before)))
    common = [[text for text in one if text in other] for one, other in ((before, after), (after, before))]
    return {"removed": removed, "added": added, "reordered": common[0] != common[1]}


def _named(shown: Demonstration) -> str:
    return f"[{shown.rating}] {shown.query} / {shown.document}" + (
        f" / {shown.explanation}" if shown.explanation else ""
    )

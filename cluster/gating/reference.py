"""What the gate holds a release against: the champion, its parent, and the text that its own was written from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

from cluster.registry import Registry, lineage_of, resolve_release
from judge_serve.judging.errors import RefusedInputError
from judge_serve.judging.release import Release
from optimize_workers.dataset.splits import Dataset
from optimize_workers.evidence.diff_budget import changed_outside_bullets
from optimize_workers.evidence.gate.evidence import TextFindings
from optimize_workers.guardrails import Guardrails, Refusal

_BULLETS = "bullets"  # the optimizer that leaves the program as it is


class Reference(NamedTuple):
    """The release that another one is held against, None if there is none; `role` is what it is, or why not."""

    release: Release | None
    role: str

    @property
    def words(self) -> str:
        """For the reasons of the gate."""
        return f"{self.role} {self.release.id}" if self.release else self.role


def reference_of(release: Release, against: str | None, registry: Registry) -> Reference:
    """The release named by `against`, else the champion of its name, else its parent.

    Raises: RefusedInputError if `against` names nothing, the release itself, or one of another scale.
    """
    found = _reference_of(release, against, registry)
    if found.release is not None and found.release.judge.task.scale.ratings != release.judge.task.scale.ratings:
        raise RefusedInputError(
            f"{found.words} rates {found.release.judge.task.scale}, release {release.id} rates "
            f"{release.judge.task.scale}; name another with --against"
        )
    return found


def _reference_of(release: Release, against: str | None, registry: Registry) -> Reference:
    if against is not None:
        named = resolve_release(against, registry).release
        if named.digest == release.digest:
            raise RefusedInputError(f"--against {against} is the release itself; name another or leave it out")
        return Reference(named, "release")
    champion = registry.champion_of(release.name)
    if champion is not None and champion.release.digest != release.digest:
        return Reference(champion.release, "the champion")
    ancestors = lineage_of(release, registry)
    if ancestors:
        return Reference(ancestors[0], "its parent")
    is_champion = "it is the champion itself" if champion is not None else f"{release.name!r} has no champion"
    parents = "its parent is not in the registry" if release.parents else "it has no parent"
    return Reference(None, f"{is_champion}, and {parents}")


def findings_of(release: Release, ancestors: Sequence[Release], dataset: Dataset) -> TextFindings:
    """Hold the texts of a release against guardrails and diff budget, as a search does with its winner.

    The guardrails compare with the oldest ancestor: what a search wrote is not legal because a later one kept it.
    """
    findings = TextFindings(no_guardrails="")
    refusal = _shown_held_out(release, dataset)
    if refusal is None and ancestors:
        refusal = _refusal_of(release, ancestors[-1], dataset)
    elif refusal is None:
        known = "its parent is not in the registry" if release.parents else "no search wrote it: it has no parent"
        findings = replace(findings, no_guardrails=known)
    overspent = None
    if release.evidence.get("optimizer") == _BULLETS:
        if ancestors:
            overspent = changed_outside_bullets(ancestors[0].judge, release.judge)
            findings = replace(findings, no_diff_budget="")
        else:
            findings = replace(findings, no_diff_budget="its parent is not in the registry")
    return replace(findings, refusal=refusal, overspent=overspent)


def _shown_held_out(release: Release, dataset: Dataset) -> Refusal | None:
    try:
        dataset.require_unseen(release.judge.program.demonstrations)
    except RefusedInputError as error:
        return Refusal("held_out_demonstration", str(error))
    return None


def _refusal_of(release: Release, oldest: Release, dataset: Dataset) -> Refusal | None:
    data = dataset.for_optimizers(oldest.judge.program.demonstrations)
    task = oldest.judge.task
    guard = Guardrails(
        task.scale, oldest.judge.program.instruction, [*data.train, *data.val], own_texts=[task.description]
    )
    program = release.judge.program
    texts = [program.instruction, *(line for line in program.bullets if line not in oldest.judge.program.bullets)]
    return next(filter(None, map(guard.explain, texts)), None)

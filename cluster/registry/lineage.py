"""What a release was made from, as far as the registry knows."""

from __future__ import annotations

from collections.abc import Sequence

from cluster.registry.store import Registered
from judge_serve.judging.release import Release


def lineage_of(release: Release, known: Sequence[Registered]) -> list[Release]:
    """Parent, grandparent and so on, as far as they are known; of several parents the first."""
    by_digest = {entry.release.digest: entry.release for entry in known}
    ancestors: list[Release] = []
    parents = release.parents
    while parents and parents[0] in by_digest:  # ends: a digest covers the parents' digests
        ancestors.append(by_digest[parents[0]])
        parents = ancestors[-1].parents
    return ancestors

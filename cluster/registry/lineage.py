"""What a release was made from, as far as the registry knows."""

from __future__ import annotations

from cluster.registry.store import Registry
from judge_serve.judging.release import Release


def lineage_of(release: Release, registry: Registry) -> list[Release]:
    """Parent, grandparent and so on, as far as they are known; of several parents the first."""
    ancestors: list[Release] = []
    parents = release.parents
    while parents and (found := registry.find(parents[0])) is not None:  # ends: a digest covers the parents' digests
        ancestors.append(found.release)
        parents = found.release.parents
    return ancestors

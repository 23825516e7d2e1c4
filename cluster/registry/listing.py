"""`releases list`, `show` and `diff`: what the registry knows of releases."""

from __future__ import annotations

from typing import Any

from cluster.registry.card import model_card
from cluster.registry.config import DiffReleasesConfig, ShowReleaseConfig
from cluster.registry.difference import difference_of
from cluster.registry.lineage import lineage_of
from cluster.registry.passing import caveats_of
from cluster.registry.store import Registered, Registry, resolve_release
from judge_serve.serving.home import home


def run_list_releases() -> dict[str, Any]:
    """All releases, newest first."""
    listing = Registry(home()).listing()
    return {
        "releases": [_line_of(entry) for entry in listing.releases],
        "unreadable": [{**one._asdict(), "aliases": sorted(one.aliases)} for one in listing.unreadable],
    }


def run_show_release(config: ShowReleaseConfig) -> dict[str, Any]:
    """One release with its gate results, overrides, lineage and card."""
    registry = Registry(home())
    entry = resolve_release(config.release, registry)
    ancestors = lineage_of(entry.release, registry)
    gate = entry.gate
    return {
        **_line_of(entry),
        "document": {**entry.release.model_dump(mode="json"), "digest": entry.release.digest},
        "gate_record": gate.model_dump(mode="json") if gate else None,
        "gate_history": [one.model_dump(mode="json") for one in entry.gate_history],
        "caveats": caveats_of(entry, registry),
        "overrides": [one.model_dump(mode="json") for one in entry.overrides],
        "ancestors": [one.id for one in ancestors],
        "card": model_card(entry, ancestors),
        "show_card": config.card,
    }


def run_diff_releases(config: DiffReleasesConfig) -> dict[str, Any]:
    """What differs between two releases."""
    registry = Registry(home())
    first, second = (resolve_release(one, registry).release for one in (config.first, config.second))
    return difference_of(first, second)


def _line_of(entry: Registered) -> dict[str, Any]:
    release, gate = entry.release, entry.gate
    figures = gate.figures if gate else {}
    winner = release.evidence.get("winner")
    proven = winner if isinstance(winner, dict) else {}
    return {
        "id": release.id,
        "name": release.name,
        "aliases": sorted(entry.aliases),
        "model": release.judge.model.name,
        "mode": str(release.judge.mode),
        "gate_passed": entry.gate_passed if gate or entry.gate_is_unreadable else None,
        "gate_date": gate.date if gate else None,
        "imported_from": gate.imported_from if gate else None,
        "nmse": figures.get("nmse", proven.get("nmse")),
        "overridden": len(entry.overrides),
        "registered_ms": entry.registered_ms,
    }

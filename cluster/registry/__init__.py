"""Releases with what a gate said of them, their aliases, and who may pass.

This door imports nothing heavy; `card`, which reads data sets' modules, is imported by its own name.
"""

from cluster.registry.gate_record import GateRecord, KeptShift, now
from cluster.registry.lineage import lineage_of
from cluster.registry.passing import (
    check_gate_passed,
    check_may_be_served,
    check_may_return,
    check_unchanged,
    note_caveats,
)
from cluster.registry.promotion import CHAMPION, PREVIOUS
from cluster.registry.store import (
    DEFAULT_NAME,
    Registered,
    Registry,
    has_registry,
    resolve_release,
)

__all__ = [
    "CHAMPION",
    "DEFAULT_NAME",
    "PREVIOUS",
    "GateRecord",
    "KeptShift",
    "Registered",
    "Registry",
    "check_gate_passed",
    "check_may_be_served",
    "check_may_return",
    "check_unchanged",
    "has_registry",
    "lineage_of",
    "note_caveats",
    "now",
    "resolve_release",
]

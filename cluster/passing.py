"""Who may pass without a gate's yes: nobody, unless a reason is given, which is recorded."""

from __future__ import annotations

from cluster.failures import GateRefusedError
from cluster.progress import Progress
from cluster.registry import GATE_REASONS_TAG, Registered


def check_gate_passed(registered: Registered, force: str | None) -> None:
    """Raise GateRefusedError unless the gate passed this release or a reason overrides it."""
    if registered.gate_passed or force:
        return
    raise GateRefusedError(f"{_refused(registered)}; override with --force REASON")


def check_may_be_served(registered: Registered, force: str | None, *, is_loopback: bool, progress: Progress) -> None:
    """On loopback a release without a passed gate is served with a note, elsewhere it needs a reason.

    Raises: GateRefusedError.
    """
    if registered.gate_passed:
        return
    if not is_loopback:
        check_gate_passed(registered, force)
    progress.note(f"{_refused(registered)}; " + (f"served because: {force}" if force else "served on loopback only"))


def _refused(registered: Registered) -> str:
    said = registered.tags.get(GATE_REASONS_TAG, "no gate has seen this release, ask 'relevance-judge gate'")
    return f"release {registered.release.id} has not passed the gate: {said}"

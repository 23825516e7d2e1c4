"""Who may pass without a gate's yes: nobody, unless a reason is given, which is recorded."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from cluster.failures import GateRefusedError
from cluster.registry.gate_record import GateRecord
from cluster.registry.store import GATE_REASONS_TAG, Registered, Registry
from judge_serve.judging.errors import RefusedInputError
from judge_serve.judging.release import Release
from optimize_workers.evidence.gate.config import GateConfig
from optimize_workers.evidence.gate.rule import RuleStatus
from optimize_workers.statistics.agreement import Agreement

_DEPLOYING = ("deploy", "rollback")


def check_gate_passed(registered: Registered, force: str | None) -> None:
    """Raise GateRefusedError unless the gate passed this release or a reason overrides it."""
    if registered.gate_passed or force:
        return
    raise GateRefusedError(f"{_refused(registered)}; override with --force REASON")


def check_may_be_served(
    registered: Registered, force: str | None, note: Callable[[str], None], *, is_loopback: bool
) -> None:
    """On loopback a release without a passed gate is served with a note, elsewhere it needs a reason.

    Raises: GateRefusedError.
    """
    if registered.gate_passed:
        return
    if not is_loopback:
        check_gate_passed(registered, force)
    note(f"{_refused(registered)}; " + (f"served because: {force}" if force else "served on loopback only"))


def check_may_return(registered: Registered, force: str | None) -> None:
    """Raise GateRefusedError unless a champion of before may be one again: it passes, or was let through after a no.

    A reason overrides that.
    """
    if registered.gate_passed or force:
        return
    gate = registered.gate
    let_through = [one.date for one in registered.overrides if one.command in _DEPLOYING]
    if not let_through or registered.gate_is_unreadable or (gate is not None and max(let_through) < gate.date):
        raise GateRefusedError(
            f"{_refused(registered)}; nobody let it through since; "
            "deploy another release, or override with --force REASON"
        )


def caveats_of(registered: Registered, registry: Registry) -> list[str]:
    """What whoever relies on a passed gate should know of how it came about; empty for a refusal."""
    gate = registered.gate
    if not registered.gate_passed or gate is None:
        return []
    found = [*_of_record(gate)]
    proven_on = registered.release.evidence.get("dataset")
    fingerprint = proven_on.get("fingerprint") if isinstance(proven_on, dict) else None
    if fingerprint and gate.fingerprint and fingerprint != gate.fingerprint:
        found.append("the gate saw other data than the release was proven on")
    try:
        champion = registry.champion_of(registered.release.name)
        if champion is not None and champion.release.id not in (registered.release.id, gate.against):
            found.append(f"it was not held against the champion {champion.release.id}")
    except RefusedInputError as error:  # this release may be what takes its place
        found.append(f"the champion cannot be read ({error})")
    earlier = [one for one in registered.gate_history if not one.passed]
    if earlier:
        found.append(f"{earlier[-1].command or 'a gate'} refused it on {earlier[-1].date}")
    return found


def _of_record(gate: GateRecord) -> Iterator[str]:
    if gate.imported_from:
        yield f"the answer is imported from {gate.imported_from}"
    usual = GateConfig().model_dump()
    changed = [f"{name} {limit:g} in place of {usual.get(name, '?')}" for name, limit in gate.changed_limits.items()]
    if changed:
        yield f"limits were changed: {', '.join(changed)}"
    unchecked = [rule.name for rule in gate.rules if rule.status is RuleStatus.NOT_CHECKED]
    if unchecked:
        yield f"not checked: {', '.join(unchecked)}"


def note_caveats(registered: Registered, registry: Registry, note: Callable[[str], None]) -> list[str]:
    """Say the caveats of a passed gate, and return them."""
    found = caveats_of(registered, registry)
    if found:
        note(f"release {registered.release.id} passed the gate, but {'; '.join(found)}")
    return found


def _refused(registered: Registered) -> str:
    said = registered.tags.get(GATE_REASONS_TAG, "no gate has seen this release, ask 'relevance-judge gate'")
    if registered.gate_is_unreadable:
        said = "what the gate said of it cannot be read, ask 'relevance-judge gate' again"
    return f"release {registered.release.id} has not passed the gate: {said}"


def check_unchanged(release: Release, agreement: Agreement | None, force: str | None) -> str | None:
    """What has changed of a release's model since it was made, None where nothing has.

    `agreement` is of its answers to the canaries then and now, None where either is not known.

    Raises: GateRefusedError if it has and nobody says why to label all the same: no gate has seen these answers.
    """
    if agreement is None or not agreement.is_changed:
        return None
    changed = f"the model of release {release.id} answers otherwise than when it was made, {agreement.words}"
    if force is None:
        raise GateRefusedError(f"{changed}; measure it anew with 'gate', adapt it, or give --force REASON")
    return changed

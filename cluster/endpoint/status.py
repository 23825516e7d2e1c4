"""`status`: what runs here, and what the registry says of it."""

from __future__ import annotations

from typing import Any

import httpx

from cluster.endpoint.agreement import disagreements
from cluster.endpoint.journal import Journal
from cluster.endpoint.models import identity_of
from cluster.endpoint.state import read_state
from cluster.registry import CHAMPION, Registry
from judge_serve.serving.home import home

MAX_SHOWN_OVERRIDES = 10


def run_status() -> dict[str, Any]:
    """What runs, what the registry calls champion and previous, what the gate said of them, the last overrides.

    And the last deployment, and where endpoint, registry and journal disagree.
    """
    state = read_state(home())
    status: dict[str, Any] = {"home": str(home()), "endpoint": None, "aliases": {}, "gates": {}, "overrides": []}
    if state is not None:
        status["endpoint"] = {"url": state.url, "pid": state.pid, "models": [m.name for m in state.models]}
        status["endpoint"]["identities"] = {m.name: identity_of(m).id for m in state.models}
        try:
            answer = httpx.get(f"{state.url}/readyz", timeout=5.0, trust_env=False)
            status["endpoint"]["ready"] = answer.status_code == httpx.codes.OK
            status["endpoint"]["release"] = ready_release(answer)
        except httpx.TransportError as error:
            status["endpoint"]["ready"] = False
            status["endpoint"]["reason"] = f"no answer ({type(error).__name__})"
    listing = Registry(home()).listing()
    for unreadable in listing.unreadable:
        for alias in unreadable.aliases:
            status["aliases"][f"{unreadable.name}@{alias}"] = unreadable.id
            status["gates"][unreadable.id] = False
    status["unreadable"] = [{"id": one.id, "name": one.name, "reason": one.reason} for one in listing.unreadable]
    for entry in listing.releases:
        for alias in entry.aliases:
            status["aliases"][f"{entry.release.name}@{alias}"] = entry.release.id
            status["gates"][entry.release.id] = entry.gate_passed
        status["overrides"] += [{"release": entry.release.id, **one.model_dump()} for one in entry.overrides]
    status["overrides"] = sorted(status["overrides"], key=lambda one: str(one["date"]))[-MAX_SHOWN_OVERRIDES:]
    journal = Journal(home())
    last, live = journal.read(), (status["endpoint"] or {}).get("release")
    name = next((entry.release.name for entry in listing.releases if entry.release.id == live), None)
    ending = f"@{CHAMPION}"
    champions = {alias.removesuffix(ending): id for alias, id in status["aliases"].items() if alias.endswith(ending)}
    status["deployment"] = last.model_dump(mode="json") if last else None
    found = disagreements(live, name, champions, last, is_busy=journal.is_busy())
    status["disagreements"] = [one._asdict() for one in found]
    return status


def ready_release(answer: httpx.Response) -> str | None:
    """The release that an endpoint names in its answer to `/readyz`; None where it is not ready."""
    if answer.status_code != httpx.codes.OK:
        return None
    release = answer.json().get("release")
    return str(release) if release else None

"""`deploy` and `rollback`: another release at the running endpoint, which goes on answering meanwhile.

Each step stands in the journal before it is taken. What fails puts the release before back, in Serve's own state too.
"""

from __future__ import annotations

from contextlib import suppress
from typing import Any, NamedTuple

import httpx

from cluster.endpoint.application import Application
from cluster.endpoint.config import DeployConfig, RollbackConfig
from cluster.endpoint.journal import Deployment, Journal, Step
from cluster.endpoint.models import identity_of
from cluster.endpoint.ray_cluster import attach
from cluster.endpoint.state import Endpoint, ServeState, read_state
from cluster.endpoint.status import ready_release
from cluster.failures import ServingFailedError
from cluster.progress import Progress
from cluster.registry import (
    DEFAULT_NAME,
    PREVIOUS,
    Registered,
    Registry,
    check_gate_passed,
    check_may_return,
    note_caveats,
    now,
    resolve_release,
)
from judge_serve.catalogue.same_model import differences
from judge_serve.judging.errors import RefusedInputError
from judge_serve.judging.release import Release
from judge_serve.serving.home import home


class Live(NamedTuple):
    """What the endpoint runs after a deployment."""

    release: str
    url: str
    override: str | None


def plan_deploy(config: DeployConfig) -> dict[str, Any]:
    """Which release would go live where, once it is known that it may."""
    registry = Registry(home(), read_only=True)
    registered = resolve_release(config.release, registry)
    check_gate_passed(registered, config.force)
    notes: list[str] = []
    note_caveats(registered, registry, notes.append)
    return {**_planned(registered, config.force), "notes": notes}


def plan_rollback(config: RollbackConfig) -> dict[str, Any]:
    """Which release would go live again, once it is known that it may."""
    registered = _to_return_to(config, Registry(home(), read_only=True))
    return _planned(registered, config.force)


def _planned(registered: Registered, force: str | None) -> dict[str, Any]:
    state, release = _require_running(), registered.release
    _check_serves(state, release)
    return {
        "release": {"id": release.id, "name": release.name, "mode": str(release.judge.mode)},
        "gate": {"passed": registered.gate_passed, "override": None if registered.gate_passed else force},
        "endpoint": state.url,
    }


def run_deploy(config: DeployConfig, progress: Progress) -> dict[str, Any]:
    """Make a release the champion of the running endpoint."""
    with Journal(home()).alone():
        registry = Registry(home())
        registered = resolve_release(config.release, registry)
        check_gate_passed(registered, config.force)
        note_caveats(registered, registry, progress.note)
        return _deploy_to_running(registered, registry, config.force, progress)


def run_rollback(config: RollbackConfig, progress: Progress) -> dict[str, Any]:
    """Deploy the champion before the current one; it was let through once, unless the gate refused it since."""
    with Journal(home()).alone():
        registry = Registry(home())
        registered = _to_return_to(config, registry)
        if config.force and not registered.gate_passed:
            registry.record_override(registered, "rollback", config.force)
        return {**_deploy_to_running(registered, registry, None, progress), "override": config.force}


def _to_return_to(config: RollbackConfig, registry: Registry) -> Registered:
    name = _live_name(_require_running(), registry)
    registered = registry.resolve(f"{name}@{PREVIOUS}")
    check_may_return(registered, config.force)
    return registered


def _deploy_to_running(
    registered: Registered, registry: Registry, override: str | None, progress: Progress
) -> dict[str, Any]:
    state = _require_running()
    attach(state.ray_address)
    import ray

    try:
        live = deploy_release(registered, registry, state, override, progress)
    finally:
        ray.shutdown()
    return live._asdict()


def deploy_release(
    registered: Registered, registry: Registry, endpoint: Endpoint, override: str | None, progress: Progress
) -> Live:
    """Put a release on the connected application, wait until it answers, promote it in the registry.

    Where others may deploy to this endpoint, the caller holds `Journal.alone`.

    Raises: ServingFailedError if it did not become both; what the endpoint runs then is in the message.
    """
    release = registered.release
    _check_serves(endpoint, release)
    progress.phase(f"deploying release {release.id}")
    recorded = None if registered.gate_passed else override
    _replace(registered, registry, Application(endpoint), recorded, progress)
    return Live(release.id, endpoint.url, recorded)


def _check_serves(endpoint: Endpoint, release: Release) -> None:
    """Raise RefusedInputError unless an endpoint serves the model of a release."""
    needed = release.judge.model
    served = [identity_of(model) for model in endpoint.models]
    if all(differences(needed, one) for one in served):
        told = ", ".join(f"{one.words} ({'; '.join(differences(needed, one))})" for one in served)
        raise RefusedInputError(
            f"release {release.id} needs {needed.words}, the endpoint serves {told}; "
            f"start 'relevance-judge serve --release {release.id}'"
        )


def _replace(
    registered: Registered, registry: Registry, application: Application, override: str | None, progress: Progress
) -> None:
    journal, release, before = Journal(home()), registered.release, application.running()
    deployment = Deployment(
        release=release.id,
        name=release.name,
        before=before.id if before else None,
        step=Step.INTENDED,
        began_at=now(),
    )
    journal.write(deployment)
    try:
        application.put(release, progress)
        journal.write(deployment.at(Step.LIVE))
        registry.promote(registered, override)
    except BaseException as error:  # an interruption, too, must leave endpoint and registry at one
        if not _is_champion(registered, registry):
            _put_back(before, deployment, error, application, progress)
            raise  # what is no failure: Ctrl-C
        progress.note(f"the registry failed ({_said(error)}), but release {release.id} is its champion")
    journal.write(deployment.at(Step.PROMOTED))


def _put_back(
    before: Release | None, deployment: Deployment, error: BaseException, application: Application, progress: Progress
) -> None:
    """Bring the endpoint back to what it ran; raises ServingFailedError unless `error` is an interruption."""
    journal, failed = Journal(home()), f"release {deployment.release} was not deployed: {_said(error)}"
    progress.phase(f"putting release {before.id} back" if before else "taking the release back")
    try:
        application.put(before, progress)
    except Exception as second:
        journal.write(deployment.at(Step.BROKEN, f"{_said(error)}; {_said(second)}"))
        raise ServingFailedError(
            f"{failed}; putting {deployment.before or 'the state before'} back failed, too: {_said(second)}; "
            "'relevance-judge status' says what runs and how to mend it"
        ) from error
    journal.write(deployment.at(Step.UNDONE, _said(error)))
    if isinstance(error, Exception):
        runs = f"runs release {before.id} as before" if before else "had no release before, and is brought back to none"
        raise ServingFailedError(f"{failed}; the endpoint {runs}") from error


def _is_champion(registered: Registered, registry: Registry) -> bool:
    """Whether the registry says so, whatever it answered to the promotion."""
    with suppress(Exception):  # it may be the registry that failed
        champion = registry.champion_of(registered.release.name)
        return champion is not None and champion.release.digest == registered.release.digest
    return False


def _said(error: BaseException) -> str:
    return (str(error).splitlines() or [""])[0] or type(error).__name__


def _live_name(state: ServeState, registry: Registry) -> str:
    """Registry name of the release that answers; the default where the registry does not know it."""
    try:
        live = ready_release(httpx.get(f"{state.url}/readyz", timeout=5.0, trust_env=False))
    except httpx.TransportError as error:
        raise ServingFailedError(f"the endpoint {state.url} does not answer ({type(error).__name__})") from error
    if live is not None:
        with suppress(RefusedInputError):  # a judge that was never registered
            return registry.resolve(live).release.name
    return DEFAULT_NAME


def _require_running() -> ServeState:
    state = read_state(home())
    if state is None:
        raise RefusedInputError("no endpoint runs; start one with 'relevance-judge serve'")
    return state

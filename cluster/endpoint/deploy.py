"""`deploy` and `rollback`: another release at the running endpoint, which goes on answering meanwhile."""

from __future__ import annotations

import time
from typing import Any, NamedTuple

import httpx

from cluster.endpoint.config import DeployConfig
from cluster.endpoint.lifecycle import APP_NAME, INGRESS, attach, deploy, serve_config
from cluster.endpoint.models import identity_of
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
    note_caveats,
    resolve_release,
)
from judge_serve.catalogue.same_model import differences
from judge_serve.judging.errors import RefusedInputError
from judge_serve.judging.release import Release
from judge_serve.serving.home import home

LIVE_TIMEOUT_S = 60.0


class Live(NamedTuple):
    """What the endpoint runs after a deployment."""

    release: str
    url: str
    override: str | None


def run_deploy(config: DeployConfig, progress: Progress) -> dict[str, Any]:
    """Make a release the champion of the running endpoint."""
    registry = Registry(home())
    registered = resolve_release(config.release, registry)
    check_gate_passed(registered, config.force)
    note_caveats(registered, registry, progress.note)
    return _deploy_to_running(registered, registry, config.force, progress)


def run_rollback(progress: Progress) -> dict[str, Any]:
    """Deploy the champion before the current one; it was let through once and needs no new gate."""
    registry = Registry(home())
    name = _live_name(_require_running(), registry)
    return _deploy_to_running(registry.resolve(f"{name}@{PREVIOUS}"), registry, None, progress)


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
    """Put a release on the connected application, wait until it answers, promote it in the registry."""
    release = registered.release
    needed = release.judge.model
    served = [identity_of(model) for model in endpoint.models]
    if all(differences(needed, one) for one in served):
        told = ", ".join(f"{one.words} ({'; '.join(differences(needed, one))})" for one in served)
        raise RefusedInputError(
            f"release {release.id} needs {needed.words}, the endpoint serves {told}; "
            f"start 'relevance-judge serve --release {release.id}'"
        )
    progress.phase(f"deploying release {release.id}")
    deploy(application_of(endpoint, release), on_wait=progress.waiting)
    await_live(release, progress)
    recorded = None if registered.gate_passed else override
    registry.promote(registered, recorded)
    return Live(release.id, endpoint.url, recorded)


def application_of(endpoint: Endpoint, release: Release) -> dict[str, Any]:
    """Serve's configuration of an endpoint that judges with a release."""
    document = {**release.model_dump(mode="json"), "digest": release.digest}
    return serve_config(
        [model.model_dump() for model in endpoint.models], document, host=endpoint.host, port=endpoint.port
    )


def await_live(release: Release, progress: Progress) -> None:
    """Wait until the connected application answers with a release; raises ServingFailedError if it never does."""
    from ray import serve

    handle = serve.get_deployment_handle(INGRESS, APP_NAME)
    deadline = time.monotonic() + LIVE_TIMEOUT_S
    while time.monotonic() < deadline:
        running = handle.running.remote().result(timeout_s=LIVE_TIMEOUT_S)
        if running.release == release.id:
            return
        if running.config_error and release.id in running.config_error:  # not the error of an earlier one
            raise ServingFailedError(f"the endpoint refused release {release.id}: {running.config_error}")
        progress.waiting(f"waiting for release {release.id} to go live")
        time.sleep(0.1)
    raise ServingFailedError(
        f"release {release.id} was not live after {LIVE_TIMEOUT_S:.0f} s; see 'relevance-judge status'"
    )


def _live_name(state: ServeState, registry: Registry) -> str:
    """Registry name of the release that answers; the default where the registry does not know it."""
    try:
        live = ready_release(httpx.get(f"{state.url}/readyz", timeout=5.0, trust_env=False))
    except httpx.TransportError as error:
        raise ServingFailedError(f"the endpoint {state.url} does not answer ({type(error).__name__})") from error
    known = [entry for entry in registry.releases() if entry.release.id == live]
    return known[0].release.name if known else DEFAULT_NAME


def _require_running() -> ServeState:
    state = read_state(home())
    if state is None:
        raise RefusedInputError("no endpoint runs; start one with 'relevance-judge serve'")
    return state

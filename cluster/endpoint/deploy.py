"""Serving, deploying and rolling back releases at the local endpoint."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Sequence
from typing import Any, NamedTuple

import httpx

from cluster.endpoint.config import DeployConfig, ServeConfig
from cluster.endpoint.judges import choice_for, judge_to_run
from cluster.endpoint.lifecycle import (
    APP_NAME,
    INGRESS,
    attach,
    check_port_is_free,
    deploy,
    local_ray,
    serve_config,
)
from cluster.endpoint.models import ModelChoice
from cluster.endpoint.session import check_gpus, prepare_models
from cluster.endpoint.signals import stop_on_signals
from cluster.endpoint.state import ServeState, clear_state, read_state, started_at, write_state
from cluster.failures import ServingFailedError
from cluster.progress import Progress
from cluster.registry.passing import check_gate_passed, check_may_be_served, note_caveats
from cluster.registry.store import CHAMPION, DEFAULT_NAME, PREVIOUS, Registered, Registry, has_registry, resolve_release
from judge_serve.catalogue.served_model import ServedModel
from judge_serve.judging.errors import RefusedInputError
from judge_serve.judging.release import Release
from judge_serve.serving.auth import load_api_keys
from judge_serve.serving.home import home

LIVE_TIMEOUT_S = 60.0
MAX_SHOWN_OVERRIDES = 10
_LOOPBACK_HOSTS = frozenset({"127.0.0.1", "localhost"})


class Live(NamedTuple):
    """What the endpoint runs after a deployment."""

    release: str
    url: str
    override: str | None


def run_serve(config: ServeConfig, progress: Progress, stop: threading.Event | None = None) -> dict[str, Any]:
    """Serve a release until Ctrl-C (or `stop`); returns what was served."""
    if config.host not in _LOOPBACK_HOSTS and load_api_keys() is None:
        raise RefusedInputError(
            f"--host {config.host} is reachable by others; set RELEVANCE_JUDGE_API_KEYS_FILE first (docs/security.md)"
        )
    running = read_state(home())
    if running is not None:
        raise RefusedInputError(f"'serve' runs already at {running.url} (process {running.pid}); stop it first")
    release, choice = _judge_to_serve(config, progress)
    if choice.served is None:
        raise RefusedInputError(f"{choice.identity.name} is an endpoint already; serve hosts open-weight models")
    check_port_is_free(config.host, config.port)
    prepare_models([choice.served], progress)
    with local_ray() as address:
        check_gpus([choice.served])
        progress.phase(f"starting vLLM with {choice.served.name}")
        models = [choice.served]
        deploy(_config(models, release, config.host, config.port), on_wait=progress.waiting)
        pid = os.getpid()
        state = ServeState(
            pid=pid,
            started_at=started_at(pid) or 0.0,
            ray_address=address,
            host=config.host,
            port=config.port,
            models=tuple(models),
        )
        write_state(home(), state)
        try:
            _await_live(release, progress)
            progress.phase(f"ready: release {release.id} at {state.url}/v1/judge; Ctrl-C stops")
            (stop or stop_on_signals()).wait()
            progress.phase("stopping")
        finally:
            clear_state(home())
    return {"release": release.id, "url": state.url}


def _judge_to_serve(config: ServeConfig, progress: Progress) -> tuple[Release, ModelChoice]:
    """The release or judge that is named; where nothing is, the champion, and without one the shipped judge."""
    reference = config.release
    if reference is None and config.names_nothing and has_registry():
        champion = Registry(home()).champion_of(DEFAULT_NAME)
        if champion is not None:
            progress.note(f"serving the champion {champion.release.id}; --model or --judge serve another judge")
            reference = f"{DEFAULT_NAME}@{CHAMPION}"
    if reference is None:
        release, choice = judge_to_run(config)
        progress.note(f"no gate has seen judge {release.id}; register and gate it before its ratings are relied on")
        return release, choice
    registry = Registry(home())
    registered = resolve_release(reference, registry)
    choice = choice_for(registered.release, config.model)
    is_loopback = config.host in _LOOPBACK_HOSTS
    check_may_be_served(registered, config.force, is_loopback=is_loopback, progress=progress)
    if config.force and not registered.gate_passed:
        registry.record_override(registered, "serve", config.force)
    return registered.release, choice


def run_deploy(config: DeployConfig, progress: Progress) -> dict[str, Any]:
    """Make a release the champion of the running endpoint."""
    registry = Registry(home())
    registered = resolve_release(config.release, registry)
    check_gate_passed(registered, config.force)
    note_caveats(registered, registry, progress)
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
        live = deploy_release(registered, registry, state.models, state.host, state.port, override, progress)
    finally:
        ray.shutdown()
    return live._asdict()


def run_status() -> dict[str, Any]:
    """What runs, what the registry calls champion and previous, what the gate said of them, the last overrides."""
    state = read_state(home())
    status: dict[str, Any] = {"home": str(home()), "endpoint": None, "aliases": {}, "gates": {}, "overrides": []}
    if state is not None:
        status["endpoint"] = {"url": state.url, "pid": state.pid, "models": [m.name for m in state.models]}
        try:
            answer = httpx.get(f"{state.url}/readyz", timeout=5.0, trust_env=False)
            status["endpoint"]["ready"] = answer.status_code == httpx.codes.OK
            status["endpoint"]["release"] = _release_of(answer)
        except httpx.TransportError as error:
            status["endpoint"]["ready"] = False
            status["endpoint"]["reason"] = f"no answer ({type(error).__name__})"
    for entry in Registry(home()).releases():
        for alias in entry.aliases:
            status["aliases"][f"{entry.release.name}@{alias}"] = entry.release.id
            status["gates"][entry.release.id] = entry.gate_passed
        status["overrides"] += [{"release": entry.release.id, **one.model_dump()} for one in entry.overrides]
    status["overrides"] = sorted(status["overrides"], key=lambda one: str(one["date"]))[-MAX_SHOWN_OVERRIDES:]
    return status


def deploy_release(
    registered: Registered,
    registry: Registry,
    models: Sequence[ServedModel],
    host: str,
    port: int,
    override: str | None,
    progress: Progress,
) -> Live:
    """Put a release on the connected application, wait until it answers, promote it in the registry."""
    release = registered.release
    needed = release.judge.model
    if (needed.name, needed.revision) not in {(model.name, model.revision) for model in models}:
        raise RefusedInputError(
            f"release {release.id} needs model {needed.name!r} revision {needed.revision}, the endpoint serves "
            f"{', '.join(f'{model.name} revision {model.revision}' for model in models)}; "
            f"start 'relevance-judge serve --release {release.id}'"
        )
    progress.phase(f"deploying release {release.id}")
    deploy(_config(models, release, host, port), on_wait=progress.waiting)
    _await_live(release, progress)
    recorded = None if registered.gate_passed else override
    registry.promote(registered, recorded)
    return Live(release.id, f"http://{host}:{port}", recorded)


def _config(models: Sequence[ServedModel], release: Release, host: str, port: int) -> dict[str, Any]:
    document = {**release.model_dump(mode="json"), "digest": release.digest}
    return serve_config([model.model_dump() for model in models], document, host=host, port=port)


def _await_live(release: Release, progress: Progress) -> None:
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
        live = _release_of(httpx.get(f"{state.url}/readyz", timeout=5.0, trust_env=False))
    except httpx.TransportError as error:
        raise ServingFailedError(f"the endpoint {state.url} does not answer ({type(error).__name__})") from error
    known = [entry for entry in registry.releases() if entry.release.id == live]
    return known[0].release.name if known else DEFAULT_NAME


def _release_of(answer: httpx.Response) -> str | None:
    if answer.status_code != httpx.codes.OK:
        return None
    release = answer.json().get("release")
    return str(release) if release else None


def _require_running() -> ServeState:
    state = read_state(home())
    if state is None:
        raise RefusedInputError("no endpoint runs; start one with 'relevance-judge serve'")
    return state

"""`serve`: a release or judge at an endpoint of this machine, until somebody stops it."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from typing import Any, NamedTuple

from cluster.endpoint.application import (
    APP_NAME,
    application_of,
    await_live,
    check_can_be_served,
    check_port_is_free,
    listens_at,
    running,
)
from cluster.endpoint.config import ServeConfig
from cluster.endpoint.journal import Journal
from cluster.endpoint.judges import JudgeToRun, choice_for, judge_to_run
from cluster.endpoint.models import ModelChoice
from cluster.endpoint.ray_cluster import ConnectedRay, cluster_address, connected_ray, shipped_packages
from cluster.endpoint.session import check_gpus, prepare_models
from cluster.endpoint.signals import stop_on_signals
from cluster.endpoint.state import ServeState, clear_state, read_state, started_at, write_state
from cluster.progress import Progress
from cluster.registry import (
    CHAMPION,
    DEFAULT_NAME,
    Registered,
    Registry,
    check_may_be_served,
    has_registry,
    resolve_release,
)
from judge_serve.catalogue.served_model import ServedModel
from judge_serve.judging.errors import RefusedInputError
from judge_serve.serving.auth import load_api_keys
from judge_serve.serving.home import home

_LOOPBACK_HOSTS = frozenset({"127.0.0.1", "localhost"})


class _ToServe(NamedTuple):
    """What is served; `passed_over` is the release where a reason overrides the gate."""

    judge: JudgeToRun
    passed_over: Registered | None = None


def plan_serve(config: ServeConfig) -> dict[str, Any]:
    """What would be served, and where."""
    _check_alone(config)
    notes: list[str] = []
    judge, passed_over = _choose(config, notes.append, read_only=True)
    _model_to_serve(config, judge.choice)
    return {
        **judge.as_dict(),
        "endpoint": f"http://{config.host}:{config.port}" if cluster_address() is None else "at the cluster's Serve",
        "override": config.force if passed_over else None,
        "notes": notes,
    }


def run_serve(config: ServeConfig, progress: Progress, stop: threading.Event | None = None) -> dict[str, Any]:
    """Serve a release until Ctrl-C (or `stop`); returns what was served."""
    _check_alone(config)
    release, choice = _judge_to_serve(config, progress)
    served = _model_to_serve(config, choice)
    prepare_models([served], progress)
    with connected_ray() as ray_here:
        check_gpus([served])
        check_can_be_served(APP_NAME)
        state = _state(config, served, ray_here, progress)
        progress.phase(f"starting vLLM with {served.name}")
        with running(application_of(state, release), on_wait=progress.waiting):
            Journal(home()).clear()  # it is of an endpoint that runs no more
            write_state(home(), state)
            try:
                await_live(release, progress)
                progress.phase(f"ready: release {release.id} at {state.url}/v1/judge; Ctrl-C stops")
                (stop or stop_on_signals()).wait()
                progress.phase("stopping")
            finally:
                clear_state(home())
    return {"release": release.id, "url": state.url}


def _check_alone(config: ServeConfig) -> None:
    """Raise RefusedInputError if others could reach the endpoint without a key, or if one runs already."""
    if config.host not in _LOOPBACK_HOSTS and load_api_keys() is None:
        raise RefusedInputError(
            f"--host {config.host} is reachable by others; set RELEVANCE_JUDGE_API_KEYS_FILE first (docs/security.md)"
        )
    serve = read_state(home())
    if serve is not None:
        raise RefusedInputError(f"'serve' runs already at {serve.url} (process {serve.pid}); stop it first")


def _model_to_serve(config: ServeConfig, choice: ModelChoice) -> ServedModel:
    """The model that is served; raises RefusedInputError if it is an endpoint, or if the port is taken here."""
    if choice.served is None:
        raise RefusedInputError(f"{choice.identity.name} is an endpoint already; serve hosts open-weight models")
    if cluster_address() is None:
        check_port_is_free(config.host, config.port)
    return choice.served


def _state(config: ServeConfig, model: ServedModel, ray_here: ConnectedRay, progress: Progress) -> ServeState:
    """What will run: where the cluster's Serve listens, if it runs one, else where the config says."""
    host, port = listens_at() or (config.host, config.port)
    if (host, port) != (config.host, config.port):
        progress.note(f"this cluster's Serve listens at {host}:{port}; --host and --port do not hold here")
    pid = os.getpid()
    return ServeState(
        host=host,
        port=port,
        models=(model,),
        runtime_env={} if ray_here.is_own else shipped_packages(),
        pid=pid,
        started_at=started_at(pid) or 0.0,
        ray_address=ray_here.address,
    )


def _judge_to_serve(config: ServeConfig, progress: Progress) -> JudgeToRun:
    """What is to be served; that the gate is overridden is recorded."""
    judge, passed_over = _choose(config, progress.note)
    if passed_over is not None and config.force:
        Registry(home()).record_override(passed_over, "serve", config.force)
    return judge


def _choose(config: ServeConfig, note: Callable[[str], None], *, read_only: bool = False) -> _ToServe:
    """The release or judge that is named; where nothing is, the champion, and without one the shipped judge."""
    reference = config.release
    if reference is None and config.names_nothing and has_registry():
        champion = Registry(home(), read_only=read_only).champion_of(DEFAULT_NAME)
        if champion is not None:
            note(f"serving the champion {champion.release.id}; --model or --judge serve another judge")
            reference = f"{DEFAULT_NAME}@{CHAMPION}"
    is_loopback = config.host in _LOOPBACK_HOSTS
    if reference is None and is_loopback:
        judge = judge_to_run(config)
        note(f"no gate has seen judge {judge.release.id}; register and gate it before its ratings are relied on")
        return _ToServe(judge)
    registry = Registry(home(), read_only=read_only)
    if reference is None:
        release, choice = judge_to_run(config)
        registered = registry.register(release)  # so that a gate can be asked about it
    else:
        registered = resolve_release(reference, registry)
        choice = choice_for(registered.release, config.model)
    check_may_be_served(registered, config.force, note, is_loopback=is_loopback)
    is_overridden = config.force is not None and not registered.gate_passed
    return _ToServe(JudgeToRun(registered.release, choice), registered if is_overridden else None)

"""Starting, finding and stopping the local Ray and its judging application.

The application is deployed through Serve's declarative configuration, the same document that a RayService
carries, so that a new release changes `user_config` only and restarts nothing.
"""

from __future__ import annotations

import logging
import os
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from cluster.endpoint.ray_environment import keep_ray_token_private, prepare_ray_environment
from cluster.failures import ServingFailedError
from judge_serve.judging.errors import RefusedInputError

logger = logging.getLogger(__name__)

APP_NAME = "judge"
INGRESS = "JudgeIngress"
IMPORT_PATH = "judge_serve.serving.app:build"
OBJECT_STORE_BYTES = 200 * 1024**2
LOOPBACK = "127.0.0.1"
START_TIMEOUT_S = 1_800.0  # large models load for many minutes
WORKER_LOGS = "/tmp/ray/session_latest/logs/worker-*"  # where Ray puts them by default


def serve_config(
    models: list[dict[str, Any]], champion: dict[str, Any] | None, *, host: str, port: int, ingress_replicas: int = 1
) -> dict[str, Any]:
    """Serve's declarative configuration of the judging application, as a RayService carries it."""
    ingress: dict[str, Any] = {
        "name": INGRESS,
        "num_replicas": ingress_replicas,
        "ray_actor_options": {"num_cpus": 0.1},
    }
    if champion is not None:
        ingress["user_config"] = {"champion": champion}
    return {
        "proxy_location": "HeadOnly",
        "http_options": {"host": host, "port": port},
        "applications": [
            {
                "name": APP_NAME,
                "route_prefix": "/",
                "import_path": IMPORT_PATH,
                "args": {"models": models},
                "deployments": [ingress],
            }
        ],
    }


def check_port_is_free(host: str, port: int) -> None:
    """Raise RefusedInputError if something listens there already."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            raise RefusedInputError(
                f"port {port} on {host} is taken ({error.strerror}); stop what uses it or choose another with --port"
            ) from error


def free_port(host: str = LOOPBACK) -> int:
    """A port that nothing listens on at this moment."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.bind((host, 0))
        port: int = probe.getsockname()[1]
        return port


@contextmanager
def local_ray(num_cpus: int | None = None) -> Iterator[str]:
    """Own Ray on this machine, stopped at the end together with everything that runs on it; yields its address.

    Inside a Ray job (`RAY_ADDRESS` is set) the job's cluster is used instead and left running.
    """
    prepare_ray_environment()
    import ray

    inherited = os.environ.get("RAY_ADDRESS")
    if inherited:
        attach(inherited)
        from ray import serve

        try:
            if APP_NAME in serve.status().applications:
                raise RefusedInputError(
                    f"the Ray at {inherited} runs a judging application already; "
                    "reach its model with --model http://host:8000/v1#model-name"
                )
            try:
                yield inherited
            finally:
                if APP_NAME in serve.status().applications:
                    serve.delete(APP_NAME)
        finally:
            ray.shutdown()
        return
    for name in ("ray.serve", "ray._private"):
        logging.getLogger(name).setLevel(logging.WARNING)
    keep_ray_token_private()
    context = ray.init(
        address="local",  # never a Ray that somebody else started on this machine
        num_cpus=num_cpus or max(4, os.cpu_count() or 1),  # workers and ingress wait most of the time
        include_dashboard=False,
        object_store_memory=OBJECT_STORE_BYTES,
        log_to_driver=False,
        logging_level=logging.ERROR,
    )
    keep_ray_token_private()
    try:
        yield str(context.address_info["gcs_address"])
    finally:
        stop_serving()
        ray.shutdown()


def deploy(
    config: dict[str, Any], timeout_s: float = START_TIMEOUT_S, on_wait: Callable[[str], None] | None = None
) -> None:
    """Bring the running Serve to a configuration and wait until it is healthy.

    Args:
        config: see `serve_config`.
        timeout_s: how long to wait.
        on_wait: called about every second with a line that says what is waited for.

    Raises:
        ServingFailedError: Serve reports a failed deployment, or the time is over.
    """
    from ray import serve
    from ray.serve.context import _get_global_client
    from ray.serve.schema import ServeDeploySchema

    schema = ServeDeploySchema.model_validate(config)
    serve.start(proxy_location=config["proxy_location"], http_options=config["http_options"])
    _get_global_client().deploy_apps(schema)  # the entry that Ray's own REST endpoint uses
    started = time.monotonic()
    while time.monotonic() - started < timeout_s:
        app = serve.status().applications.get(APP_NAME)
        state = str(app.status.value) if app else "NOT_STARTED"
        if state == "RUNNING":
            return
        if app and state in {"DEPLOY_FAILED", "UNHEALTHY"}:
            raise ServingFailedError(
                f"the judging application failed to start: {_why(app)}; what its processes said is in {WORKER_LOGS}"
            )
        if on_wait:
            on_wait(f"serving: {state.lower()} {time.monotonic() - started:.0f} s")
        time.sleep(0.5)
    raise ServingFailedError(
        f"the judging application was not ready after {timeout_s:.0f} s; see 'relevance-judge doctor'"
    )


def attach(address: str) -> None:
    """Connect this process to a running local Ray."""
    import ray

    try:
        ray.init(address=address, log_to_driver=False, logging_level=logging.WARNING)
    except (ConnectionError, RuntimeError) as error:
        raise ServingFailedError(f"cannot connect to the running Ray at {address} ({error})") from error


def stop_serving() -> None:
    """Stop Serve if it runs on the connected Ray."""
    import ray
    from ray import serve

    if ray.is_initialized():
        serve.shutdown()


def _why(app: Any) -> str:
    messages = [app.message, *(deployment.message for deployment in app.deployments.values())]
    lines = [line.strip() for message in messages if message for line in message.splitlines() if line.strip()]
    return lines[-1] if lines else "no reason given"

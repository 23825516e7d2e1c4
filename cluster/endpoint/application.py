"""The judging application on the connected Ray: starting and stopping it, and which release it judges with.

The application is deployed through Serve's declarative configuration, the same document that a RayService
carries, so that a new release changes `user_config` only and restarts nothing.
"""

from __future__ import annotations

import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from pydantic import ValidationError

from cluster.endpoint.state import Endpoint
from cluster.failures import ServingFailedError
from cluster.progress import Progress
from judge_serve.judging.errors import RefusedInputError
from judge_serve.judging.release import Release

APP_NAME = "judge"
INGRESS = "JudgeIngress"
IMPORT_PATH = "judge_serve.serving.app:build"
LOOPBACK = "127.0.0.1"
LIVE_TIMEOUT_S = 60.0
START_TIMEOUT_S = 1_800.0  # large models load for many minutes
WORKER_LOGS = "/tmp/ray/session_latest/logs/worker-*"  # where Ray puts them by default


def serve_config(
    models: list[dict[str, Any]],
    champion: dict[str, Any] | None,
    *,
    host: str,
    port: int,
    name: str = APP_NAME,
    route_prefix: str | None = "/",
    runtime_env: dict[str, Any] | None = None,
) -> dict[str, Any]:
    """Serve's declarative configuration of the judging application, as a RayService carries it.

    Args:
        models: what it serves, `ServedModel` as JSON.
        champion: the release that it judges with, and its digest.
        host: address that Serve listens at, where none runs yet.
        port: the same.
        name: of the application.
        route_prefix: where it answers over HTTP; None for handles only.
        runtime_env: what its processes need that the cluster's nodes lack.
    """
    ingress: dict[str, Any] = {
        "name": INGRESS,
        "num_replicas": 1,
        "ray_actor_options": {"num_cpus": 0.1},
    }
    if champion is not None:
        ingress["user_config"] = {"champion": champion}
    application: dict[str, Any] = {
        "name": name,
        "route_prefix": route_prefix,
        "import_path": IMPORT_PATH,
        "args": {"models": models},
        "deployments": [ingress],
    }
    if runtime_env:
        application["runtime_env"] = runtime_env
    return {
        "proxy_location": "HeadOnly",
        "http_options": {"host": host, "port": port},
        "applications": [application],
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
def running(config: dict[str, Any], on_wait: Callable[[str], None] | None = None) -> Iterator[None]:
    """Run the application of a configuration until the end; raises what `deploy` raises.

    On a cluster that serves already, its other applications and its Serve stay as they are.
    """
    from ray import serve

    (application,) = config["applications"]
    is_served = listens_at() is not None
    try:
        deploy(config, on_wait=on_wait)
        yield
    finally:
        if is_served or serve.status().applications.keys() - {application["name"]}:
            serve.delete(application["name"])  # others came meanwhile, or were there before
        else:
            serve.shutdown()


def listens_at() -> tuple[str, int] | None:
    """Host and port of the Serve that the connected Ray runs; None where it runs none."""
    from ray.serve.context import _get_global_client

    client = _get_global_client(raise_if_no_controller_running=False)
    if client is None:
        return None
    options = client.get_serve_details()["http_options"]
    return options["host"], options["port"]


def check_can_be_served(name: str) -> None:
    """Raise RefusedInputError if the connected Ray runs an application of this name."""
    from ray import serve

    if listens_at() is not None and name in serve.status().applications:
        raise RefusedInputError(
            f"this Ray cluster runs an application {name!r} already; "
            "reach its model with --model http://host:8000/v1#model-name"
        )


def deploy(
    config: dict[str, Any], timeout_s: float = START_TIMEOUT_S, on_wait: Callable[[str], None] | None = None
) -> None:
    """Bring an application to a configuration and wait until it is healthy; starts Serve where none runs.

    What else the cluster serves stays: to Serve a configuration is all that it shall run, so theirs is sent along.

    Args:
        config: see `serve_config`.
        timeout_s: how long to wait.
        on_wait: called about every second with a line that says what is waited for.

    Raises:
        RefusedInputError: it cannot stand beside what the cluster serves.
        ServingFailedError: Serve reports a failed deployment, or the time is over.
    """
    from ray import serve
    from ray.serve.context import _get_global_client
    from ray.serve.schema import ServeDeploySchema

    (application,) = config["applications"]
    if listens_at() is None:
        serve.start(proxy_location=config["proxy_location"], http_options=config["http_options"])
    client = _get_global_client()
    others = _others(client.get_serve_details(), application["name"])
    try:
        schema = ServeDeploySchema.model_validate({**config, "applications": [*others, application]})
    except ValidationError as error:
        reason = error.errors()[0]["msg"]
        raise RefusedInputError(f"this cannot be served beside what the cluster serves: {reason}") from error
    client.deploy_apps(schema)  # the entry that Ray's own REST endpoint uses
    started = time.monotonic()
    while time.monotonic() - started < timeout_s:
        app = serve.status().applications.get(application["name"])
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


def _others(details: dict[str, Any], name: str) -> list[dict[str, Any]]:
    """Configurations of the cluster's other applications; those that a program runs have none and need none."""
    configs = (app.get("deployed_app_config") for app in details["applications"].values())
    return [config for config in configs if config is not None and config["name"] != name]


def _why(app: Any) -> str:
    messages = [app.message, *(deployment.message for deployment in app.deployments.values())]
    lines = [line.strip() for message in messages if message for line in message.splitlines() if line.strip()]
    return lines[-1] if lines else "no reason given"


class Application:
    """What `deploy` changes; Serve's own state holds what was put last, so that a new replica has it."""

    def __init__(self, endpoint: Endpoint) -> None:
        self._endpoint = endpoint

    def running(self) -> Release | None:
        """The release that it answers with; None where it has none yet."""
        document = _running().document
        return Release.from_document(document, "the running endpoint") if document else None

    def put(self, release: Release | None, progress: Progress) -> None:
        """Bring a release to it, and wait until it answers with it; None is the state before the first one.

        Raises: ServingFailedError if it refuses the release or never answers with it.
        """
        deploy(application_of(self._endpoint, release), on_wait=progress.waiting)
        if release is not None:
            await_live(release, progress)


def application_of(endpoint: Endpoint, release: Release | None) -> dict[str, Any]:
    """Serve's configuration of an endpoint that judges with a release."""
    document = {**release.model_dump(mode="json"), "digest": release.digest} if release else None
    return serve_config(
        [model.model_dump() for model in endpoint.models],
        document,
        host=endpoint.host,
        port=endpoint.port,
        runtime_env=endpoint.runtime_env,
    )


def await_live(release: Release, progress: Progress) -> None:
    """Wait until the connected application answers with a release; raises ServingFailedError if it never does."""
    deadline = time.monotonic() + LIVE_TIMEOUT_S
    while time.monotonic() < deadline:
        found = _running()
        if found.release == release.id:
            return
        if found.config_error and release.id in found.config_error:  # not the error of an earlier one
            raise ServingFailedError(f"the endpoint refused release {release.id}: {found.config_error}")
        progress.waiting(f"waiting for release {release.id} to go live")
        time.sleep(0.1)
    raise ServingFailedError(
        f"release {release.id} was not live after {LIVE_TIMEOUT_S:.0f} s; see 'relevance-judge status'"
    )


def _running() -> Any:
    from ray import serve

    return serve.get_deployment_handle(INGRESS, APP_NAME).running.remote().result(timeout_s=LIVE_TIMEOUT_S)

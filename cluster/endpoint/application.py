"""The judging application on the connected Ray: which release it runs, and putting another one on it."""

from __future__ import annotations

import time
from typing import Any

from cluster.endpoint.lifecycle import APP_NAME, INGRESS, deploy, serve_config
from cluster.endpoint.state import Endpoint
from cluster.failures import ServingFailedError
from cluster.progress import Progress
from judge_serve.judging.release import Release

LIVE_TIMEOUT_S = 60.0


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

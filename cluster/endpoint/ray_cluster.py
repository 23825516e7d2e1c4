"""The Ray that a command works on: this machine's own, started and stopped here, or the cluster it runs in."""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import contextmanager, suppress
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple

import psutil

from cluster.endpoint.ray_environment import RAY_ADDRESS, keep_ray_token_private, prepare_ray_environment
from cluster.endpoint.signals import end_on_sigterm
from cluster.failures import ServingFailedError
from judge_serve.judging.errors import RefusedInputError

OBJECT_STORE_BYTES = 200 * 1024**2
_PACKAGES = ("cluster", "judge_serve", "optimize_workers")
_TAKEN_BACK_EVERY_S = 0.02
_JOB_CONFIG = "RAY_JOB_CONFIG_JSON_ENV_VAR"  # in which Ray tells a job's entrypoint how the job was submitted


class ConnectedRay(NamedTuple):
    """The Ray that this process is connected to; `is_own` if it was started here."""

    address: str
    is_own: bool


@contextmanager
def connected_ray(num_cpus: int | None = None) -> Iterator[ConnectedRay]:
    """Connect to the cluster that `RAY_ADDRESS` names and leave it running, else start an own Ray and stop it."""
    prepare_ray_environment()
    import ray

    cluster = cluster_address()
    if cluster is not None:
        try:
            attach(cluster, runtime_env=packages_env())
            yield ConnectedRay(cluster, is_own=False)
        finally:
            ray.shutdown()
        return
    keep_ray_token_private()
    with _thread_of_ray() as thread:
        try:
            address = _start_ray(thread, num_cpus or max(4, os.cpu_count() or 1))  # workers wait, mostly
            keep_ray_token_private()
            yield ConnectedRay(address, is_own=True)
        finally:
            thread.submit(_shut_down).result()


def _start_ray(thread: ThreadPoolExecutor, num_cpus: int) -> str:
    import ray

    start = partial(
        ray.init,
        address="local",  # never a Ray that somebody else started on this machine
        num_cpus=num_cpus,
        include_dashboard=False,
        object_store_memory=OBJECT_STORE_BYTES,
        log_to_driver=False,
        logging_level=logging.ERROR,
    )
    try:
        context = _outcome_of(thread.submit(start))
    except Exception as error:  # Ray raises that class itself where its processes are not up in time
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise ServingFailedError(
            f"Ray does not start on this machine: {reason} What its processes said is in /tmp/ray/session_latest/logs; "
            "a machine that is short of processor time or memory may just need another try"
        ) from error
    return str(context.address_info["gcs_address"])


def cluster_address() -> str | None:
    """The cluster that `RAY_ADDRESS` names; None where a command starts its own Ray.

    Raises: RefusedInputError for an address of another kind, through which nothing can be served.
    """
    address = os.environ.get(RAY_ADDRESS, "")
    if "://" in address:
        raise RefusedInputError(
            f"{RAY_ADDRESS}={address} is no address of a cluster's head (host:port); run the command on a machine of "
            "the cluster with RAY_ADDRESS=auto, or as a job: ray job submit -- relevance-judge ..."
        )
    return address if address not in {"", "local"} else None


def attach(address: str, runtime_env: dict[str, Any] | None = None) -> None:
    """Connect this process to a running Ray; raises ServingFailedError if it cannot."""
    import ray
    from ray.exceptions import AuthenticationError

    try:
        with _thread_of_ray() as thread:
            options = {"log_to_driver": False, "logging_level": logging.ERROR, "runtime_env": runtime_env}
            _outcome_of(thread.submit(ray.init, address=address, **options))
    except (ConnectionError, RuntimeError, AuthenticationError) as error:
        reason = " ".join(str(error).split())
        raise ServingFailedError(
            f"cannot connect to the running Ray at {address} ({reason}); a cluster that asks for a token needs it in "
            "RAY_AUTH_TOKEN or RAY_AUTH_TOKEN_PATH"
        ) from error


def _outcome_of(started: Future[Any]) -> Any:
    """What starting Ray returns or raises; SIGTERM, which Ray's core takes for itself and aborts by, is taken back."""
    while not started.done():
        end_on_sigterm()
        wait([started], timeout=_TAKEN_BACK_EVERY_S)
    end_on_sigterm()
    return started.result()


def _shut_down() -> None:
    """Stop our own Ray, and what outlives for minutes a raylet that had to be killed: its agents."""
    import ray

    raylets = [child for child in psutil.Process().children() if child.name() == "raylet"]
    of_raylets = [child for raylet in raylets for child in raylet.children(recursive=True)]
    ray.shutdown()
    for process in of_raylets:
        with suppress(psutil.NoSuchProcess):  # as it should be
            process.kill()


def _thread_of_ray() -> ThreadPoolExecutor:
    """A thread in which Ray is started to its end whatever signal comes: half a Ray leaves agents behind for minutes.

    In the main thread it would also end the process at SIGTERM, before anything is stopped. The kernel kills a Ray
    whose thread is gone, so the one that starts it has to stay.
    """
    return ThreadPoolExecutor(1, "ray")


def packages_env() -> dict[str, Any]:
    """What brings this program to workers of a cluster whose nodes have another version of it, or none.

    A job that was submitted with modules of its own keeps them.
    """
    submitted = json.loads(os.environ.get(_JOB_CONFIG) or "{}")
    if "py_modules" in (submitted.get("runtime_env") or {}):
        return {}
    return {"py_modules": [_folder_of(package) for package in _PACKAGES], "excludes": ["**/__pycache__"]}


def shipped_packages() -> dict[str, Any]:
    """What `packages_env` brought to the connected cluster, for processes that others start there, as Serve does."""
    import ray

    shipped = ray.get_runtime_context().runtime_env.get("py_modules")
    return {"py_modules": list(shipped)} if shipped else {}


def _folder_of(package: str) -> str:
    found = find_spec(package)
    assert found is not None and found.origin is not None, "this program runs from its packages"
    return str(Path(found.origin).parent)

"""A Ray head in a process of its own, to which commands attach as inside of a cluster; for tests and benchmarks."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import psutil

from cluster.endpoint.application import LOOPBACK, free_port

CLUSTER_OF_OTHERS = {
    "RAY_AUTH_MODE": "disabled",
    "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",
    "RAY_USAGE_STATS_ENABLED": "0",
}


@contextmanager
def ray_head(folder: Path, environment: Mapping[str, str] | None = None) -> Iterator[str]:
    """Run a head without token authentication on loopback until the end; yields its address.

    Args:
        folder: of its files; its path is short, since Ray's sockets are below it.
        environment: variables of its workers, beside this process's.
    """
    address = f"{LOOPBACK}:{free_port()}"
    options = [f"--port={address.rpartition(':')[2]}", f"--node-ip-address={LOOPBACK}", "--num-cpus=4"]
    options += ["--include-dashboard=false", f"--temp-dir={folder}"]
    head = subprocess.Popen(
        [sys.executable, "-m", "ray.scripts.scripts", "start", "--head", "--block", *options],
        env={**os.environ, **CLUSTER_OF_OTHERS, **(environment or {})},
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    try:
        assert head.stdout is not None
        if not any("runtime started" in line for line in head.stdout):
            raise RuntimeError("no Ray head starts on this machine")
        yield address
    finally:
        for process in (*psutil.Process(head.pid).children(recursive=True), head):  # asked kindly, it takes 30 s
            process.kill()
        head.communicate()

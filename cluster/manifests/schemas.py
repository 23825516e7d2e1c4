"""Schemas: every object against Kubernetes' own schema or, for Ray kinds, against KubeRay's where it is present."""

from __future__ import annotations

import json
import os
from functools import lru_cache
from pathlib import Path
from typing import Any

import kubernetes_validate
from jsonschema import Draft202012Validator

from cluster.manifests.build import REPOSITORY, Manifest
from cluster.manifests.pods import pods_of
from cluster.manifests.ray_kinds import is_ray

FOLDER_VARIABLE = "RELEVANCE_JUDGE_KUBERAY_SCHEMAS"


def kuberay_schemas() -> Path | None:
    """The folder with KubeRay's schemas (`rayservice.json`, ...): the variable's, or `shared/` beside the checkout."""
    named = os.environ.get(FOLDER_VARIABLE)
    folder = Path(named) if named else REPOSITORY.parent / "shared" / "kuberay-schemas"
    return folder if folder.is_dir() else None


def schema_problems(manifest: Manifest, ray_schemas: Path | None) -> list[str]:
    """What the schemas refuse, pod templates included.

    Args:
        manifest: the object.
        ray_schemas: folder with KubeRay's schemas; None leaves that check out.
    """
    problems = []
    if not is_ray(manifest):
        problems += _core_problems(manifest)
    elif ray_schemas is not None:
        problems += _ray_problems(manifest, ray_schemas)
    for pod in pods_of(manifest):
        wrapped = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "pod", **pod.metadata}, "spec": pod.spec}
        problems += [f"{pod.where}: {problem}" for problem in _core_problems(wrapped)]
    return problems


def _core_problems(manifest: Manifest) -> list[str]:
    problem = _core_problem(json.dumps(manifest, sort_keys=True, default=str))
    return [problem] if problem else []


@lru_cache(maxsize=256)
def _core_problem(manifest: str) -> str | None:
    document = json.loads(manifest)
    if not document.get("apiVersion") or not document.get("kind"):
        return "apiVersion or kind is missing"
    try:
        kubernetes_validate.validate(document, kubernetes_validate.latest_version(), strict=True)
    except kubernetes_validate.ValidationError as error:
        return _sentence(error.json_path, error.message)
    except kubernetes_validate.SchemaNotFoundError as error:
        return str(error.message)
    return None


def _ray_problems(manifest: Manifest, folder: Path) -> list[str]:
    kind = str(manifest.get("kind")).lower()
    if not (folder / f"{kind}.json").is_file():
        return [f"{folder.name} holds no schema for kind {manifest.get('kind')!r}"]
    errors = _ray_validator(folder / f"{kind}.json").iter_errors(manifest)
    return [_sentence(error.json_path, error.message) for error in errors]


@lru_cache(maxsize=8)
def _ray_validator(file: Path) -> Any:
    return Draft202012Validator(json.loads(file.read_text(encoding="utf-8")))


def _sentence(path: str, message: str) -> str:
    first = message.splitlines()[0]
    # a message repeats the whole refused value; its end says what is wrong with it
    return f"{path.removeprefix('$.')}: {first if len(first) <= 240 else '...' + first[-200:]}"

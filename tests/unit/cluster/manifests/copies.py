"""The built manifests, and copies of them to break."""

from __future__ import annotations

import copy
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from cluster.manifests.build import REPOSITORY, Manifest, build, subject
from cluster.manifests.manifests import check
from cluster.manifests.ray_clusters import RayVersions, ray_versions

BASE = REPOSITORY / "k8s" / "base"
DEV_CPU = REPOSITORY / "k8s" / "overlays" / "dev-cpu"
SERVICE, JOB = "RayService/relevance-judge", "RayJob/relevance-judge-optimize"
Objects = dict[str, Manifest]


@cache
def built(folder: Path) -> tuple[Manifest, ...]:
    return tuple(build(folder))


def problems_of(objects: Objects, versions: RayVersions | None = None, ray_schemas: Path | None = None) -> list[str]:
    checked = check(list(objects.values()), versions=versions or ray_versions(), ray_schemas=ray_schemas)
    return [f"{entry.subject}: {problem}" for entry in checked for problem in entry.problems]


def broken_copy(break_it: Callable[[Objects], None], folder: Path = BASE) -> Objects:
    objects = {subject(each): copy.deepcopy(each) for each in built(folder)}
    break_it(objects)
    return objects


def cluster_of(objects: Objects) -> Any:
    return objects[SERVICE]["spec"]["rayClusterConfig"]


def group(objects: Objects, index: int) -> Any:
    return cluster_of(objects)["workerGroupSpecs"][index]


def pod(objects: Objects, index: int = 0) -> Any:
    return group(objects, index)["template"]["spec"]


def container(objects: Objects, index: int = 0) -> Any:
    return pod(objects, index)["containers"][0]


def set_variable(target: Any, name: str, value: str) -> None:
    target["env"] = [each for each in target["env"] if each["name"] != name] + [{"name": name, "value": value}]


def in_serve_config(edit: Callable[[Any], Any]) -> Callable[[Objects], None]:
    def break_it(objects: Objects) -> None:
        spec = objects[SERVICE]["spec"]
        document = yaml.safe_load(spec["serveConfigV2"])
        edit(document)
        spec["serveConfigV2"] = yaml.safe_dump(document)

    return break_it


def app(document: Any) -> Any:
    return document["applications"][0]


def serve_document(folder: Path) -> dict[str, Any]:
    service = next(each for each in built(folder) if each["kind"] == "RayService")
    document: dict[str, Any] = yaml.safe_load(service["spec"]["serveConfigV2"])
    return document

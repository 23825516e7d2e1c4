"""Ray clusters: one Ray version everywhere, the token on, draining within the grace, and room for every replica."""

from __future__ import annotations

import importlib.metadata
import math
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from cluster.manifests.build import REPOSITORY
from cluster.manifests.ray_kinds import HeadGroup, RayClusterSpec, WorkerGroup
from cluster.manifests.serve_config import INGRESS_DEPLOYMENT, ServeConfig
from judge_serve.catalogue.served_model import deployment_name

DRAIN_VARIABLE = "RAY_GRACEFUL_SHUTDOWN_DRAIN_TIMEOUT_S"
DEFAULT_DRAIN_S = 30.0  # Ray's, on SIGTERM
DEFAULT_GRACE_S = 30.0  # Kubernetes', from SIGTERM to SIGKILL
DEFAULT_REPLICA_DRAIN_S = 20.0  # Ray Serve's graceful_shutdown_timeout_s
ENGINE_CPUS = 1.0  # Ray Serve LLM reserves it for vLLM on CPU, beside the replica's own num_cpus
AUTH_SINCE = (2, 52)  # first Ray with token authentication
_TAG = re.compile(r":[^:/]*ray(\d+\.\d+\.\d+)(?:-[a-z0-9.-]+)?$")
_PIN = re.compile(r"^ray==(\S+)", re.MULTILINE)


class RayVersions(NamedTuple):
    """Ray as installed here and as pinned; None where there is no lock file."""

    installed: str
    locked: str | None


def ray_versions(lock: Path = REPOSITORY / "requirements" / "cpu.lock") -> RayVersions:
    """The versions that manifests are compared with."""
    pin = _PIN.search(lock.read_text(encoding="utf-8")) if lock.is_file() else None
    return RayVersions(importlib.metadata.version("ray"), pin.group(1) if pin else None)


def cluster_problems(cluster: RayClusterSpec, versions: RayVersions) -> list[str]:
    """What is wrong with a cluster whatever it runs."""
    return [
        *_version_problems(cluster, versions),
        *_auth_problems(cluster),
        *_drain_problems(cluster),
        *_size_problems(cluster),
    ]


def placement_problems(cluster: RayClusterSpec, serve: ServeConfig) -> list[str]:
    """Replicas that find no place in the cluster, and draining that the replicas overrun."""
    groups = [_Group.of(group, cluster.enable_in_tree_autoscaling) for _, group in cluster.groups()]
    demands = _demands(serve)
    problems = list(_replica_drain_problems(cluster, serve))
    for demand in demands:
        fitting = [group for group in groups if group.holds(demand)]
        if demand.replicas and not fitting:
            problems.append(f"{demand.name} needs {demand.needs()} per replica, no worker group has that in one pod")
        if demand.name == INGRESS_DEPLOYMENT and any(group.gpus for group in fitting):
            problems.append(
                f"{INGRESS_DEPLOYMENT} could be placed on a GPU pod; ask for a resource that only CPU workers have"
            )
    for unit in ("cpus", "gpus"):
        wanted = sum(demand.replicas * getattr(demand, unit) for demand in demands)
        room = sum(group.pods * getattr(group, unit) for group in groups)
        if wanted > room:
            problems.append(f"all replicas together need {wanted:g} {unit}, the worker groups reach {room:g}")
    return problems


class _Demand(NamedTuple):
    name: str
    replicas: int
    cpus: float
    gpus: float
    custom: dict[str, float]

    def needs(self) -> str:
        parts = [f"{self.cpus:g} CPUs", f"{self.gpus:g} GPUs", *(f"{n:g} {name}" for name, n in self.custom.items())]
        return ", ".join(parts)


class _Group(NamedTuple):
    pods: int
    cpus: float
    gpus: float
    custom: dict[str, float]

    @classmethod
    def of(cls, group: HeadGroup, can_grow: bool) -> _Group:
        limits = group.template.spec["containers"][0].get("resources", {}).get("limits", {})
        own = {key: quantity(value) for key, value in group.resources.items()}
        cpus = own.pop("CPU", None)
        gpus = own.pop("GPU", None)
        if cpus is None:
            # KubeRay hands Ray whole CPUs, rounded up
            cpus = quantity(group.ray_start_params.get("num-cpus", math.ceil(quantity(limits.get("cpu", 0)))))
        if gpus is None:
            gpus = sum(quantity(value) for key, value in limits.items() if key.endswith("gpu"))
        pods = 1
        if isinstance(group, WorkerGroup):
            pods = group.max_replicas if can_grow else group.replicas
        return cls(pods, cpus, gpus, own)

    def holds(self, demand: _Demand) -> bool:
        enough = self.pods > 0 and self.cpus >= demand.cpus and self.gpus >= demand.gpus
        return enough and all(self.custom.get(name, 0.0) >= count for name, count in demand.custom.items())


def quantity(value: Any) -> float:
    """A Kubernetes quantity of CPUs, GPUs or custom resources as a number."""
    text = str(value)
    return float(text[:-1]) / 1000 if text.endswith("m") else float(text)


def _demands(serve: ServeConfig) -> list[_Demand]:
    demands = {}
    for model in serve.models:
        cpus = model.num_cpus + (0.0 if model.gpus else ENGINE_CPUS)
        name = deployment_name(model.name)
        demands[name] = _Demand(name, model.max_replicas, cpus, float(model.gpus), {})
    for each in serve.deployments():
        options = each.get("ray_actor_options") or {}
        scaling = each.get("autoscaling_config") or {}
        before = demands.get(each["name"], _Demand(each["name"], 1, 1.0, 0.0, {}))
        replicas = scaling.get("max_replicas", each.get("num_replicas", before.replicas))
        demands[each["name"]] = before._replace(
            replicas=replicas if isinstance(replicas, int) else before.replicas,
            cpus=options.get("num_cpus", before.cpus),
            gpus=options.get("num_gpus", before.gpus),
            custom=options.get("resources", before.custom),
        )
    return list(demands.values())


def _version_problems(cluster: RayClusterSpec, versions: RayVersions) -> Iterator[str]:
    if cluster.ray_version != versions.installed:
        yield f"rayVersion is {cluster.ray_version}, installed is {versions.installed}"
    if versions.locked and cluster.ray_version != versions.locked:
        yield f"rayVersion is {cluster.ray_version}, requirements/cpu.lock pins {versions.locked}"
    for name, group in cluster.groups():
        for container in group.template.spec.get("containers", []):
            image = str(container.get("image"))
            tag = _TAG.search(image)
            if tag is None or tag.group(1) != cluster.ray_version:
                yield f"group {name!r}: image {image} does not end in ray{cluster.ray_version}"


def _auth_problems(cluster: RayClusterSpec) -> Iterator[str]:
    if cluster.auth_options is None or cluster.auth_options.mode != "token":
        yield "authOptions.mode must be token: Ray's job API runs any code it is sent"
    if tuple(int(part) for part in re.findall(r"\d+", cluster.ray_version)[:2]) < AUTH_SINCE:
        yield f"rayVersion {cluster.ray_version} knows no token; 2.52 is the first"


def _drain_s(group: HeadGroup) -> float:
    variables = {each["name"]: each.get("value") for each in group.template.spec["containers"][0].get("env", [])}
    return float(variables.get(DRAIN_VARIABLE) or DEFAULT_DRAIN_S)


def _drain_problems(cluster: RayClusterSpec) -> Iterator[str]:
    for name, group in cluster.groups():
        grace_s = float(group.template.spec.get("terminationGracePeriodSeconds", DEFAULT_GRACE_S))
        if grace_s <= _drain_s(group):
            yield f"group {name!r}: Ray drains for {_drain_s(group):g} s, the pod is killed after {grace_s:g} s"


def _replica_drain_problems(cluster: RayClusterSpec, serve: ServeConfig) -> Iterator[str]:
    for each in serve.deployments():
        needed_s = float(each.get("graceful_shutdown_timeout_s", DEFAULT_REPLICA_DRAIN_S))
        for name, group in cluster.groups():
            if _drain_s(group) < needed_s:
                yield f"group {name!r} drains for {_drain_s(group):g} s, {each['name']} may take {needed_s:g} s"


def _size_problems(cluster: RayClusterSpec) -> Iterator[str]:
    if cluster.head_group_spec.ray_start_params.get("num-cpus") != "0":
        yield 'head: rayStartParams.num-cpus must be "0", or replicas land beside the control plane'
    for group in cluster.worker_group_specs:
        if not group.min_replicas <= group.replicas <= group.max_replicas:
            bounds = f"{group.min_replicas} and {group.max_replicas}"
            yield f"group {group.group_name!r}: {group.replicas} replicas are not between {bounds}"

"""Pods: every pod template within an object, and the security rules that each of them follows.

The rules are the Pod Security Standard `restricted`, plus a read-only root, limits and no API token.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

from cluster.manifests.build import Manifest


class Pod(NamedTuple):
    """A pod template; `where` is its path within the object."""

    where: str
    metadata: dict[str, Any]
    spec: dict[str, Any]

    @property
    def labels(self) -> dict[str, str]:
        """Labels that selectors see."""
        return self.metadata.get("labels") or {}

    def containers(self) -> list[dict[str, Any]]:
        """Init containers and containers."""
        return [*self.spec.get("initContainers", []), *self.spec.get("containers", [])]


def pods_of(manifest: Manifest) -> list[Pod]:
    """Every pod template of an object, however deep it lies."""
    return list(_find(manifest, ""))


def security_problems(manifest: Manifest) -> list[str]:
    """What breaks the security rules, per pod and container."""
    problems = []
    for pod in pods_of(manifest):
        problems += [f"{pod.where}: {problem}" for problem in _pod_problems(pod.spec)]
        for container in pod.containers():
            name = f"{pod.where}, container {container.get('name')}"
            problems += [f"{name}: {problem}" for problem in _container_problems(container, pod)]
    return problems


def _find(node: Any, where: str) -> Iterator[Pod]:
    if isinstance(node, dict):
        spec = node.get("spec")
        if isinstance(spec, dict) and "containers" in spec:
            yield Pod(where or "pod", node.get("metadata") or {}, spec)
            return
        for key, value in node.items():
            yield from _find(value, f"{where}.{key}" if where else str(key))
    elif isinstance(node, list):
        for index, value in enumerate(node):
            yield from _find(value, f"{where}[{index}]")


def _pod_problems(spec: dict[str, Any]) -> Iterator[str]:
    context = spec.get("securityContext") or {}
    if context.get("runAsNonRoot") is not True or context.get("runAsUser", 1) == 0:
        yield "securityContext.runAsNonRoot must be true, with a runAsUser other than 0"
    if (context.get("seccompProfile") or {}).get("type") != "RuntimeDefault":
        yield "securityContext.seccompProfile.type must be RuntimeDefault"
    if spec.get("automountServiceAccountToken") is not False:
        yield "automountServiceAccountToken must be false: nothing here talks to the Kubernetes API"
    for key in ("hostNetwork", "hostPID", "hostIPC"):
        if spec.get(key):
            yield f"{key} must not be set"
    for volume in spec.get("volumes", []):
        if "hostPath" in volume:
            yield f"volume {volume.get('name')!r} mounts a folder of the machine (hostPath)"


def _container_problems(container: dict[str, Any], pod: Pod) -> Iterator[str]:
    context = container.get("securityContext") or {}
    if context.get("privileged"):
        yield "privileged must not be set"
    if context.get("runAsNonRoot") is False or context.get("runAsUser") == 0:
        yield "runs as root against the rule of its pod"
    if context.get("allowPrivilegeEscalation") is not False:
        yield "allowPrivilegeEscalation must be false"
    capabilities = context.get("capabilities") or {}
    if "ALL" not in capabilities.get("drop", []) or capabilities.get("add"):
        yield "capabilities must drop ALL and add none"
    if context.get("readOnlyRootFilesystem") is not True:
        yield "readOnlyRootFilesystem must be true; mount an emptyDir where it writes"
    if (context.get("seccompProfile") or {}).get("type", "RuntimeDefault") != "RuntimeDefault":
        yield "seccompProfile.type must be RuntimeDefault"
    resources = container.get("resources") or {}
    for bound in ("requests", "limits"):
        missing = {"cpu", "memory"} - set(resources.get(bound) or {})
        if missing:
            yield f"resources.{bound} lacks {', '.join(sorted(missing))}"
    volumes = {volume.get("name") for volume in pod.spec.get("volumes", [])}
    for mount in container.get("volumeMounts", []):
        if mount.get("name") not in volumes:
            yield f"mounts volume {mount.get('name')!r}, the pod has {sorted(map(str, volumes))}"
    for variable in container.get("env", []):
        secret = str(variable.get("name", "")).upper().endswith(("TOKEN", "KEY", "PASSWORD", "SECRET"))
        if secret and "value" in variable:
            yield f"variable {variable['name']} holds its secret here; take it from a Secret"

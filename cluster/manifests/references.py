"""References: every name that an object uses is an object of the same build, or a documented external.

Secrets are made by hand, so the object that needs one says so in its annotation `relevance-judge/externals`
(`Kind/name`, space-separated); `k8s/README.md` says how to make them.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Any
from urllib.parse import urlsplit

from cluster.manifests.build import Manifest, subject
from cluster.manifests.pods import pods_of
from cluster.manifests.ray_kinds import RayJob
from cluster.manifests.serve_config import ServeConfig

EXTERNALS = "relevance-judge/externals"
COMMAND = "relevance-judge"
_NAMED_IN = {
    "secret": ("Secret", "secretName"),
    "configMap": ("ConfigMap", "name"),
    "persistentVolumeClaim": ("PersistentVolumeClaim", "claimName"),
    "secretKeyRef": ("Secret", "name"),
    "configMapKeyRef": ("ConfigMap", "name"),
    "secretRef": ("Secret", "name"),
    "configMapRef": ("ConfigMap", "name"),
    "authOptions": ("Secret", "secretName"),
}


def externals_of(manifest: Manifest) -> set[str]:
    """Objects that somebody makes by hand for this one, as `Kind/name`."""
    annotations = (manifest.get("metadata") or {}).get("annotations") or {}
    return set(str(annotations.get(EXTERNALS, "")).split())


def reference_problems(manifest: Manifest, build: Sequence[Manifest]) -> list[str]:
    """Names without an object, externals that nothing uses, selectors that select nothing."""
    objects, externals = {subject(each) for each in build}, externals_of(manifest)
    used = set(_references(manifest))
    used |= {f"ServiceAccount/{pod.spec.get('serviceAccountName', 'default')}" for pod in pods_of(manifest)}
    problems = [
        f"{name} is neither in this build nor in the annotation {EXTERNALS}"
        for name in sorted(used - objects - externals)
    ]
    problems += [f"{name} is annotated as external, nothing refers to it" for name in sorted(externals - used)]
    return problems + list(_selector_problems(manifest, build))


def entrypoint_problems(job: RayJob, services: dict[str, ServeConfig]) -> list[str]:
    """What is wrong with a RayJob's command: not ours, or a `--model` that no RayService of the build serves.

    Args:
        job: the RayJob.
        services: Serve configurations by the RayService's name.
    """
    try:
        words = shlex.split(job.spec.entrypoint)
    except ValueError as error:
        return [f"entrypoint is no shell command: {error}"]
    if words[:1] != [COMMAND]:
        return [f"entrypoint must start with {COMMAND}"]
    served = {f"{name}-serve-svc": serve for name, serve in services.items()}  # KubeRay's name for the service
    problems = []
    for option, value in pairwise(words):
        if option not in {"--model", "--reflection-model"} or not value.startswith(("http://", "https://")):
            continue
        url = urlsplit(value)
        serve = served.get(url.hostname or "")
        if "." in (url.hostname or ""):
            continue  # an endpoint outside the namespace
        if serve is None:
            problems.append(f"{option}: no RayService of this build is behind {url.hostname!r}")
        elif url.fragment not in {model.name for model in serve.models}:
            names = sorted(model.name for model in serve.models)
            problems.append(f"{option}: {url.hostname} serves {names}, not {url.fragment!r}")
    return problems


def _references(node: Any) -> Iterator[str]:
    if isinstance(node, list):
        for item in node:
            yield from _references(item)
    elif isinstance(node, dict):
        for key, value in node.items():
            if key in _NAMED_IN and isinstance(value, dict):
                kind, field = _NAMED_IN[key]
                if value.get(field):
                    yield f"{kind}/{value[field]}"
            yield from _references(value)


def _selector_problems(manifest: Manifest, build: Sequence[Manifest]) -> Iterator[str]:
    if manifest.get("kind") != "NetworkPolicy":
        return
    wanted = ((manifest.get("spec") or {}).get("podSelector") or {}).get("matchLabels") or {}
    if not any(wanted.items() <= pod.labels.items() for each in build for pod in pods_of(each)):
        yield f"podSelector {wanted} selects no pod of this build"

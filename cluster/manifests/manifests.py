"""All checks of one build: what an overlay's objects are refused for before anybody applies them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from cluster.manifests.build import Manifest, subject
from cluster.manifests.pods import security_problems
from cluster.manifests.ray_clusters import RayVersions, cluster_problems, placement_problems
from cluster.manifests.ray_kinds import RayJob, RayService, is_ray, parse
from cluster.manifests.references import entrypoint_problems, reference_problems
from cluster.manifests.schemas import schema_problems
from cluster.manifests.serve_config import ServeConfig, parse_serve_config


class CheckedObject(NamedTuple):
    """An object and what is wrong with it."""

    subject: str
    problems: list[str]


def check(build: Sequence[Manifest], *, versions: RayVersions, ray_schemas: Path | None) -> list[CheckedObject]:
    """Check the objects of one build, each by itself and against the others.

    Args:
        build: everything that one `kubectl apply -k` sends.
        versions: the Ray versions that images and clusters must name.
        ray_schemas: folder with KubeRay's schemas; None leaves that check out.
    """
    checked = [
        CheckedObject(
            subject(manifest),
            [
                *schema_problems(manifest, ray_schemas),
                *security_problems(manifest),
                *reference_problems(manifest, build),
                *_secret_problems(manifest),
            ],
        )
        for manifest in build
    ]
    services: dict[str, ServeConfig] = {}
    jobs: list[tuple[RayJob, CheckedObject]] = []
    for manifest, entry in zip(build, checked, strict=True):
        if not is_ray(manifest):
            continue
        parsed, problems = parse(manifest)
        entry.problems.extend(problems)
        serve = None
        if manifest.get("kind") == "RayService":
            serve, problems = parse_serve_config(str((manifest.get("spec") or {}).get("serveConfigV2")))
            entry.problems.extend(problems)
            if serve is not None:
                services[entry.subject.partition("/")[2]] = serve
        if parsed is None:
            continue
        entry.problems.extend(_numbers(cluster_problems, parsed.cluster, versions))
        if isinstance(parsed, RayJob):
            jobs.append((parsed, entry))
        elif serve is not None:
            entry.problems.extend(_numbers(placement_problems, parsed.cluster, serve))
            entry.problems.extend(_port_problems(parsed, serve))
    for job, entry in jobs:
        entry.problems.extend(entrypoint_problems(job, services))
    return checked


def _port_problems(service: RayService, serve: ServeConfig) -> Iterator[str]:
    port = (serve.document.get("http_options") or {}).get("port", 8000)
    for name, group in service.cluster.groups():
        ports = group.template.spec["containers"][0].get("ports", [])
        named = {each.get("name"): each.get("containerPort") for each in ports}
        if named.get("serve") != port:
            yield f"group {name!r}: port 'serve' is {named.get('serve')}, Serve listens on {port}"


def _numbers(find: Callable[..., list[str]], *arguments: Any) -> list[str]:
    try:
        return find(*arguments)
    except ValueError as error:  # quantities and seconds are text in a manifest, no schema says which text
        return [f"a quantity or a time does not parse: {error}"]


def _secret_problems(manifest: Manifest) -> list[str]:
    if manifest.get("kind") == "Secret" and (manifest.get("data") or manifest.get("stringData")):
        return ["holds secret values; make it by hand, as k8s/README.md says"]
    return []

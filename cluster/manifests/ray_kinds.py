"""RayService and RayJob: the fields that our manifests use, closed, so that a misspelt field is refused.

Stands in for KubeRay's schemas where those are absent, and holds what only the operator checks.
"""

from __future__ import annotations

import re
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator
from pydantic.alias_generators import to_camel

from cluster.manifests.build import Manifest

API_VERSION = "ray.io/v1"
MAX_NAME_CHARS = 47  # KubeRay appends suffixes to it, and Kubernetes ends names at 63
_DNS_LABEL = re.compile(r"[a-z]([-a-z0-9]*[a-z0-9])?")


class _Closed(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, alias_generator=to_camel)


class PodTemplate(_Closed):
    """A pod template; its spec is checked as a Pod."""

    metadata: dict[str, Any] = {}
    spec: dict[str, Any]

    @field_validator("spec")
    @classmethod
    def _has_containers(cls, spec: dict[str, Any]) -> dict[str, Any]:
        if not isinstance(spec.get("containers"), list) or not spec["containers"]:
            raise ValueError("a pod needs at least one container; Ray runs in the first")
        return spec


class HeadGroup(_Closed):
    """The head of a Ray cluster."""

    ray_start_params: dict[str, str] = {}
    resources: dict[str, str] = {}
    template: PodTemplate


class WorkerGroup(HeadGroup):
    """A group of equal workers."""

    group_name: str
    replicas: int = Field(ge=0)
    min_replicas: int = Field(ge=0)
    max_replicas: int = Field(ge=0)


class AuthOptions(_Closed):
    """Who may use Ray's own interfaces."""

    mode: Literal["disabled", "token"]
    secret_name: str | None = None


class RayClusterSpec(_Closed):
    """A Ray cluster within a RayService or RayJob."""

    ray_version: str
    enable_in_tree_autoscaling: bool = False
    auth_options: AuthOptions | None = None
    head_group_spec: HeadGroup
    worker_group_specs: list[WorkerGroup]

    def groups(self) -> list[tuple[str, HeadGroup]]:
        """Head and worker groups with their names."""
        return [("head", self.head_group_spec), *((group.group_name, group) for group in self.worker_group_specs)]


class UpgradeStrategy(_Closed):
    """How a changed cluster replaces the running one; KubeRay's schema lists no values."""

    type: Literal["NewCluster", "None"]


class RayServiceSpec(_Closed):
    """The endpoint: a Serve configuration and the cluster that runs it."""

    serve_config_v2: str = Field(alias="serveConfigV2")
    ray_cluster_config: RayClusterSpec
    exclude_head_pod_from_serve_svc: bool = False
    upgrade_strategy: UpgradeStrategy | None = None


class RayJobSpec(_Closed):
    """One command on a cluster of its own."""

    entrypoint: str
    ray_cluster_spec: RayClusterSpec
    submitter_pod_template: PodTemplate
    suspend: bool = False
    shutdown_after_job_finishes: bool
    ttl_seconds_after_finished: int = Field(0, ge=0)
    backoff_limit: int = Field(0, ge=0)


class _RayObject(_Closed):
    api_version: Literal["ray.io/v1"]
    metadata: dict[str, Any]


class RayService(_RayObject):
    """A RayService."""

    kind: Literal["RayService"]
    spec: RayServiceSpec

    @property
    def cluster(self) -> RayClusterSpec:
        """Its cluster."""
        return self.spec.ray_cluster_config


class RayJob(_RayObject):
    """A RayJob."""

    kind: Literal["RayJob"]
    spec: RayJobSpec

    @property
    def cluster(self) -> RayClusterSpec:
        """Its cluster."""
        return self.spec.ray_cluster_spec


_KINDS: dict[str, type[RayService] | type[RayJob]] = {"RayService": RayService, "RayJob": RayJob}


def is_ray(manifest: Manifest) -> bool:
    """Whether KubeRay's operator owns this kind."""
    return str(manifest.get("apiVersion", "")).startswith("ray.io/")


def parse(manifest: Manifest) -> tuple[RayService | RayJob | None, list[str]]:
    """The object as a closed model, or None with the reasons."""
    kind = _KINDS.get(str(manifest.get("kind")))
    if kind is None:
        return None, [f"kind {manifest.get('kind')!r} is not one of {sorted(_KINDS)}"]
    try:
        parsed = kind.model_validate(manifest)
    except ValidationError as error:
        return None, validation_problems(error)
    return parsed, [*_name_problems(parsed), *_job_problems(parsed)]


def validation_problems(error: ValidationError) -> list[str]:
    """One sentence per problem that pydantic found."""
    return [
        f"{'.'.join(map(str, each['loc'])) or 'document'}: {' '.join(each['msg'].split())}" for each in error.errors()
    ]


def _name_problems(parsed: RayService | RayJob) -> list[str]:
    name = str(parsed.metadata.get("name", ""))
    if len(name) > MAX_NAME_CHARS:
        return [f"name {name!r} has {len(name)} characters, KubeRay takes {MAX_NAME_CHARS}"]
    if not _DNS_LABEL.fullmatch(name):
        return [f"name {name!r} is not a DNS label (lower-case letters, digits and '-', a letter first)"]
    return []


def _job_problems(parsed: RayService | RayJob) -> list[str]:
    if isinstance(parsed, RayJob) and parsed.spec.suspend and not parsed.spec.shutdown_after_job_finishes:
        return ["suspend needs shutdownAfterJobFinishes: true; KubeRay refuses the job otherwise"]
    return []

"""Checks of the manifests in `k8s/` that need no cluster; `python -m cluster.manifests` runs them.

Parts: `build` (kustomize), `ray_kinds` (the fields of RayService and RayJob that we use), `schemas` (Kubernetes' and
KubeRay's), `serve_config` (Ray's own schema, import paths), `pods` (security), `ray_clusters` (versions, sizes,
draining), `references`, and `manifests`, which runs them all. Their one contract: a check takes built objects and
returns problems as sentences; an empty list means that the object may be applied.
"""

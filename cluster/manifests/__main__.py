"""Command: build kustomize folders (default: all of `k8s/`), check their objects, exit 1 if one is refused."""

from __future__ import annotations

import sys
from pathlib import Path

from cluster.manifests.build import REPOSITORY, BuildError, build, kustomizations
from cluster.manifests.manifests import check
from cluster.manifests.ray_clusters import ray_versions
from cluster.manifests.schemas import FOLDER_VARIABLE, kuberay_schemas


def main(arguments: list[str]) -> int:
    """Check folders; one line per object on stdout, one line per problem on stderr."""
    folders = [Path(each) for each in arguments] or kustomizations()
    ray_schemas, versions, refused = kuberay_schemas(), ray_versions(), 0
    if ray_schemas is None:
        print(f"skipped: KubeRay's schemas are not here; set {FOLDER_VARIABLE} to their folder")
    if not folders:
        print("no kustomization.yaml found; run from a checkout or name folders", file=sys.stderr)
        return 1
    for folder in folders:
        try:
            checked = check(build(folder), versions=versions, ray_schemas=ray_schemas)
        except BuildError as error:
            print(f"error: {error}", file=sys.stderr)
            refused += 1
            continue
        for entry in checked:
            print(f"{'refused' if entry.problems else 'ok     '} {_short(folder)} {entry.subject}")
            for problem in entry.problems:
                print(f"error: {_short(folder)} {entry.subject}: {problem}", file=sys.stderr)
            refused += bool(entry.problems)
    return 1 if refused else 0


def _short(folder: Path) -> str:
    whole = folder.resolve()
    return str(whole.relative_to(REPOSITORY) if whole.is_relative_to(REPOSITORY) else folder)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

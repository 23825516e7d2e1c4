"""The manifests of `k8s/` pass; `dev-cpu` is what runs locally; the command says what it refuses."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest
import yaml

from cluster.endpoint.application import serve_config
from cluster.manifests.__main__ import main
from cluster.manifests.build import REPOSITORY, BuildError, build, kustomizations, subject
from cluster.manifests.references import externals_of
from cluster.manifests.schemas import FOLDER_VARIABLE, kuberay_schemas
from judge_serve.catalogue.entries import CATALOGUE
from judge_serve.catalogue.served_model import ServedModel
from judge_serve.serving.embedded_model import embedded_model_revision
from tests.unit.cluster.manifests.copies import BASE, DEV_CPU, JOB, SERVICE, built, problems_of, serve_document


def served_model(name: str) -> ServedModel:
    entry = CATALOGUE[name]
    return ServedModel(
        name=entry.name,
        source=entry.source or entry.name,
        revision="unknown" if entry.source else embedded_model_revision(),
        max_model_len=entry.max_model_len,
        dtype=entry.dtype,
        gpus=entry.gpus,
        max_concurrent_calls=entry.max_concurrent_calls,
        engine_options=entry.engine_options,
    )


def application_of(document: dict[str, Any]) -> dict[str, Any]:
    """The application with its models in full, without the cores that each machine chooses for itself."""
    application = copy.deepcopy(document["applications"][0])
    models = [ServedModel.model_validate(each) for each in application["args"]["models"]]
    application["args"] = {"models": [each.model_copy(update={"cpu_cores": ""}) for each in models]}
    return application


@pytest.mark.parametrize("folder", kustomizations(), ids=lambda folder: str(folder.relative_to(REPOSITORY)))
def test_every_kustomization_passes(folder: Path) -> None:
    assert problems_of({subject(each): each for each in built(folder)}, ray_schemas=kuberay_schemas()) == []


def test_base_and_dev_cpu_are_among_the_kustomizations() -> None:
    assert {BASE, DEV_CPU} <= set(kustomizations())


def test_dev_cpu_runs_the_application_that_serve_runs_locally() -> None:
    local = serve_config([served_model("embedded").model_dump()], None, host="127.0.0.1", port=8000)
    assert application_of(serve_document(DEV_CPU)) == application_of(local)


def test_dev_cpu_asks_for_no_gpu() -> None:
    assert "nvidia.com/gpu" not in yaml.safe_dump_all(built(DEV_CPU))
    service = next(each for each in built(DEV_CPU) if each["kind"] == "RayService")
    assert [each["groupName"] for each in service["spec"]["rayClusterConfig"]["workerGroupSpecs"]] == ["ingress"]


def test_base_serves_its_model_as_the_catalogue_says() -> None:
    assert application_of(serve_document(BASE))["args"]["models"] == [served_model("gpt-oss-20b")]


@pytest.mark.parametrize("folder", [BASE, DEV_CPU], ids=["base", "dev-cpu"])
def test_no_release_stands_in_the_manifests(folder: Path) -> None:
    assert "user_config" not in serve_document(folder)["applications"][0]["deployments"][0]


def test_the_readme_says_how_to_make_every_external() -> None:
    readme = (REPOSITORY / "k8s" / "README.md").read_text(encoding="utf-8")
    externals = {name for folder in (BASE, DEV_CPU) for each in built(folder) for name in externals_of(each)}
    assert externals
    assert all(f"`{name}`" in readme for name in externals)


def test_a_folder_that_does_not_build_says_why(tmp_path: Path) -> None:
    (tmp_path / "kustomization.yaml").write_text("resources: [absent.yaml]\n")
    with pytest.raises(BuildError, match=r"does not build: .*absent\.yaml"):
        build(tmp_path)


def test_a_patch_that_no_longer_fits_fails_the_build(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text("{apiVersion: v1, kind: ServiceAccount, metadata: {name: a, labels: {b: c}}}\n")
    patch = '[{"op": "test", "path": "/metadata/labels/b", "value": "d"}]'
    (tmp_path / "kustomization.yaml").write_text(
        f"resources: [a.yaml]\npatches:\n  - patch: '{patch}'\n    target: {{kind: ServiceAccount}}\n"
    )
    with pytest.raises(BuildError, match="test"):
        build(tmp_path)


def test_the_command_accepts_the_tree(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 0
    out = capsys.readouterr().out
    assert f"ok      k8s/base {SERVICE}" in out
    assert f"ok      k8s/overlays/dev-cpu {JOB}" in out


def test_the_command_names_what_it_refuses(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "a.yaml").write_text("{apiVersion: v1, kind: ServiceAccount, metadata: {name: a}, token: true}\n")
    (tmp_path / "kustomization.yaml").write_text("resources: [a.yaml]\n")
    assert main([str(tmp_path)]) == 1
    captured = capsys.readouterr()
    assert "refused" in captured.out
    assert captured.err.startswith("error: ")
    assert captured.err.count("\n") == 1


def test_absent_schemas_are_said_to_be_skipped(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv(FOLDER_VARIABLE, str(tmp_path / "absent"))
    assert main([str(DEV_CPU)]) == 0
    assert capsys.readouterr().out.startswith("skipped: KubeRay's schemas are not here")

"""Each rule refuses a copy of the manifests that breaks it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import yaml

from cluster.manifests.ray_clusters import RayVersions, quantity, ray_versions
from cluster.manifests.schemas import kuberay_schemas
from cluster.manifests.serve_config import parse_serve_config
from tests.unit.cluster.manifests.copies import (
    BASE,
    DEV_CPU,
    JOB,
    SERVICE,
    Objects,
    app,
    broken_copy,
    cluster_of,
    container,
    group,
    in_serve_config,
    pod,
    problems_of,
    serve_document,
    set_variable,
)

needs_schemas = pytest.mark.skipif(
    kuberay_schemas() is None, reason="KubeRay's schemas are not here, and no package registry carries them"
)

BROKEN: dict[str, tuple[Callable[[Objects], Any], str]] = {
    # the Serve configuration
    "unknown key": (in_serve_config(lambda c: c.update(aplications=[])), "unknown key aplications"),
    "unknown deployment key": (
        in_serve_config(lambda c: app(c)["deployments"][0].update(num_replica=3)),
        "unknown key applications[0].deployments[0].num_replica",
    ),
    "unknown actor option": (
        in_serve_config(lambda c: app(c)["deployments"][0]["ray_actor_options"].update(num_gpu=1)),
        "ray_actor_options.num_gpu",
    ),
    "model min over max": (
        in_serve_config(lambda c: app(c)["args"]["models"][0].update(min_replicas=2)),
        "min_replicas 2 is more than max_replicas 1",
    ),
    "deployment min over max": (
        in_serve_config(
            lambda c: app(c).update(
                deployments=[{"name": "JudgeIngress", "autoscaling_config": {"min_replicas": 3, "max_replicas": 2}}]
            )
        ),
        "deployment 'JudgeIngress': autoscaling",
    ),
    "wrong module": (in_serve_config(lambda c: app(c).update(import_path="judge_serve.api:build")), "does not import"),
    "wrong attribute": (
        in_serve_config(lambda c: app(c).update(import_path="judge_serve.serving.app:built")),
        "does not import",
    ),
    "import path is no function": (
        in_serve_config(lambda c: app(c).update(import_path="judge_serve.serving.app:INGRESS")),
        "is a str, expected a callable",
    ),
    "unknown argument": (in_serve_config(lambda c: app(c)["args"].update(model=[])), "args: model"),
    "unknown model setting": (
        in_serve_config(lambda c: app(c)["args"]["models"][0].update(tp=2)),
        "args: models.0.tp",
    ),
    "unknown deployment": (
        in_serve_config(lambda c: app(c)["deployments"][0].update(name="Ingress")),
        "deployment 'Ingress' is not in the application",
    ),
    "wrong type": (in_serve_config(lambda c: app(c)["deployments"][0].update(num_replicas=0)), "num_replicas"),
    "loopback": (in_serve_config(lambda c: c["http_options"].update(host="127.0.0.1")), "not reachable"),
    "port": (in_serve_config(lambda c: c["http_options"].update(port=9000)), "Serve listens on 9000"),
    "no replacement": (lambda o: o[SERVICE]["spec"].update(serveConfigV2="text"), "holds no mapping"),
    "no YAML": (lambda o: o[SERVICE]["spec"].update(serveConfigV2="a: [1"), "is not YAML"),
    # room for the replicas
    "model wider than a pod": (
        in_serve_config(lambda c: app(c)["args"]["models"][0].update(gpus=2)),
        "JudgeModel:gpt-oss-20b needs 1 CPUs, 2 GPUs per replica",
    ),
    "more GPU replicas than GPUs": (
        in_serve_config(lambda c: app(c)["args"]["models"][0].update(max_replicas=2)),
        "together need 2 gpus, the worker groups reach 1",
    ),
    "ingress on GPU machines": (
        in_serve_config(lambda c: app(c)["deployments"][0]["ray_actor_options"].pop("resources")),
        "JudgeIngress could be placed on a GPU pod",
    ),
    "resource that no group has": (
        lambda o: group(o, 0).update(resources={"other": "1"}),
        "JudgeIngress needs 0.5 CPUs, 0 GPUs, 1 judge_ingress per replica",
    ),
    "too few CPUs": (
        in_serve_config(lambda c: app(c)["deployments"][0].update(num_replicas=30)),
        "together need 16 cpus",
    ),
    "replicas over maxReplicas": (lambda o: group(o, 1).update(replicas=2), "2 replicas are not between 1 and 1"),
    "replicas on the head": (lambda o: cluster_of(o)["headGroupSpec"].update(rayStartParams={}), "num-cpus"),
    "unreadable quantity": (
        lambda o: container(o)["resources"]["limits"].update(cpu="two"),
        "a quantity or a time does not parse",
    ),
    # versions
    "image tag": (
        lambda o: container(o, 1).update(image="relevance-judge:0.1.0-ray2.59.1"),
        "image relevance-judge:0.1.0-ray2.59.1 does not end in ray2.60.0",
    ),
    "image without Ray version": (lambda o: container(o).update(image="relevance-judge:latest"), "does not end in"),
    "rayVersion": (lambda o: cluster_of(o).update(rayVersion="2.59.1"), "rayVersion is 2.59.1, installed is"),
    # security
    "auth off": (lambda o: cluster_of(o).update(authOptions={"mode": "disabled"}), "authOptions.mode must be token"),
    "auth left out": (lambda o: cluster_of(o).pop("authOptions"), "authOptions.mode must be token"),
    "privileged": (lambda o: container(o)["securityContext"].update(privileged=True), "privileged must not be set"),
    "capabilities kept": (lambda o: container(o)["securityContext"].pop("capabilities"), "must drop ALL"),
    "capability added": (
        lambda o: container(o)["securityContext"].update(capabilities={"drop": ["ALL"], "add": ["NET_ADMIN"]}),
        "must drop ALL and add none",
    ),
    "root": (lambda o: pod(o)["securityContext"].update(runAsNonRoot=False), "runAsNonRoot must be true"),
    "container as root": (lambda o: container(o)["securityContext"].update(runAsUser=0), "runs as root"),
    "escalation": (
        lambda o: container(o)["securityContext"].pop("allowPrivilegeEscalation"),
        "allowPrivilegeEscalation must be false",
    ),
    "writable root": (
        lambda o: container(o)["securityContext"].update(readOnlyRootFilesystem=False),
        "readOnlyRootFilesystem must be true",
    ),
    "no seccomp": (lambda o: pod(o)["securityContext"].pop("seccompProfile"), "must be RuntimeDefault"),
    "API token": (lambda o: pod(o).pop("automountServiceAccountToken"), "automountServiceAccountToken"),
    "host network": (lambda o: pod(o).update(hostNetwork=True), "hostNetwork must not be set"),
    "host path": (
        lambda o: pod(o)["volumes"].append({"name": "host", "hostPath": {"path": "/srv"}}),
        "volume 'host' mounts a folder of the machine",
    ),
    "no limits": (lambda o: container(o)["resources"].pop("limits"), "resources.limits lacks cpu, memory"),
    "secret in clear": (
        lambda o: set_variable(container(o), "RELEVANCE_JUDGE_MODEL_KEY", "abc"),
        "variable RELEVANCE_JUDGE_MODEL_KEY holds its secret here",
    ),
    "Secret with values": (
        lambda o: o.update(
            secret={"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "x"}, "stringData": {"a": "b"}}
        ),
        "Secret/x: holds secret values",
    ),
    # draining
    "grace equals drain": (
        lambda o: pod(o).update(terminationGracePeriodSeconds=90),
        "group 'ingress': Ray drains for 90 s, the pod is killed after 90 s",
    ),
    "default grace": (lambda o: pod(o, 1).pop("terminationGracePeriodSeconds"), "the pod is killed after 30 s"),
    "replica drains longer": (
        in_serve_config(lambda c: app(c)["deployments"][0].update(graceful_shutdown_timeout_s=100)),
        "drains for 90 s, JudgeIngress may take 100 s",
    ),
    # fields and names
    "unknown service field": (lambda o: o[SERVICE]["spec"].update(serveConfig={}), "spec.serveConfig: Extra inputs"),
    "unknown group field": (lambda o: group(o, 0).update(replica=1), "workerGroupSpecs.0.replica: Extra inputs"),
    "upgrade type": (
        lambda o: o[SERVICE]["spec"].update(upgradeStrategy={"type": "Rolling"}),
        "spec.upgradeStrategy.type",
    ),
    "unknown pod field": (lambda o: pod(o).update(restartpolicy="Never"), "restartpolicy"),
    "no container": (lambda o: pod(o).update(containers=[]), "at least one container"),
    "unknown core field": (
        lambda o: o["ServiceAccount/relevance-judge"].update(automountToken=False),
        "ServiceAccount/relevance-judge: $: Additional properties",
    ),
    "unknown kind": (lambda o: o[JOB].update(kind="RayCronJob"), "kind 'RayCronJob' is not one of"),
    "long name": (lambda o: o[JOB]["metadata"].update(name="j" * 48), "has 48 characters, KubeRay takes 47"),
    "upper-case name": (lambda o: o[JOB]["metadata"].update(name="Optimize"), "is not a DNS label"),
    "suspended without shutdown": (
        lambda o: o[JOB]["spec"].update(shutdownAfterJobFinishes=False),
        "suspend needs shutdownAfterJobFinishes",
    ),
    # references
    "no service account": (
        lambda o: o.pop("ServiceAccount/relevance-judge"),
        "ServiceAccount/relevance-judge is neither in this build nor",
    ),
    "undocumented Secret": (
        lambda o: o[SERVICE]["metadata"].pop("annotations"),
        "Secret/relevance-judge-api-keys is neither in this build nor",
    ),
    "unused external": (
        lambda o: o[SERVICE]["metadata"]["annotations"].update({"relevance-judge/externals": "Secret/a"}),
        "Secret/a is annotated as external, nothing refers to it",
    ),
    "no volume claim": (
        lambda o: o.pop("PersistentVolumeClaim/relevance-judge-models"),
        "PersistentVolumeClaim/relevance-judge-models is neither",
    ),
    "mount without volume": (lambda o: pod(o)["volumes"].pop(), "mounts volume 'api-keys'"),
    "policy selects nothing": (
        lambda o: o["NetworkPolicy/relevance-judge-ray"]["spec"].update(podSelector={"matchLabels": {"app": "x"}}),
        "selects no pod of this build",
    ),
    "job uses an unserved model": (
        lambda o: o[JOB]["spec"].update(entrypoint=o[JOB]["spec"]["entrypoint"].replace("gpt-oss-20b", "qwen3-8b")),
        "serves ['gpt-oss-20b'], not 'qwen3-8b'",
    ),
    "job asks an unknown service": (
        lambda o: o[JOB]["spec"].update(entrypoint=o[JOB]["spec"]["entrypoint"].replace("-serve-svc", "-svc")),
        "no RayService of this build is behind 'relevance-judge-svc'",
    ),
    "job runs another command": (lambda o: o[JOB]["spec"].update(entrypoint="python x.py"), "must start with"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_copy_is_refused(name: str) -> None:
    break_it, expected = BROKEN[name]
    problems = problems_of(broken_copy(break_it))
    assert any(expected in problem for problem in problems), problems
    assert all("\n" not in problem for problem in problems)


@needs_schemas
@pytest.mark.parametrize(
    "break_it",
    [
        lambda o: o[SERVICE]["spec"].update(serveConfig={}),
        lambda o: cluster_of(o).update(authOptions={"mode": "on"}),
        lambda o: group(o, 0).pop("groupName"),
        lambda o: o[JOB]["spec"].update(entryPoint="x"),
    ],
    ids=["unknown field", "unknown mode", "missing field", "misspelt field"],
)
def test_kuberays_schemas_refuse_a_broken_copy(break_it: Callable[[Objects], None]) -> None:
    objects = broken_copy(break_it)
    known = set(problems_of(objects))
    assert set(problems_of(objects, ray_schemas=kuberay_schemas())) - known


def test_a_misspelt_field_hides_no_mistake_in_the_serve_configuration() -> None:
    def break_it(objects: Objects) -> None:
        objects[SERVICE]["spec"]["suspended"] = False
        in_serve_config(lambda c: c.update(aplications=[]))(objects)

    assert problems_of(broken_copy(break_it)) == [
        f"{SERVICE}: spec.suspended: Extra inputs are not permitted",
        f"{SERVICE}: serveConfigV2: unknown key aplications",
    ]


def test_a_cpu_model_needs_room_for_its_engine_too() -> None:
    def shrink(objects: Objects) -> None:
        container(objects)["resources"] = {bound: {"cpu": "2", "memory": "8Gi"} for bound in ("requests", "limits")}

    problems = problems_of(broken_copy(shrink, DEV_CPU))
    assert problems == [f"{SERVICE}: all replicas together need 2.1 cpus, the worker groups reach 2"]


def test_autoscaling_groups_count_up_to_their_maximum() -> None:
    def grow(objects: Objects) -> None:
        in_serve_config(lambda c: app(c)["args"]["models"][0].update(max_replicas=2))(objects)
        group(objects, 1)["maxReplicas"] = 2

    def autoscale(objects: Objects) -> None:
        grow(objects)
        cluster_of(objects)["enableInTreeAutoscaling"] = True

    assert len(problems_of(broken_copy(grow))) == 1
    assert problems_of(broken_copy(autoscale)) == []


def test_another_installed_ray_is_refused() -> None:
    problems = problems_of(broken_copy(lambda objects: None), versions=RayVersions("2.61.0", "2.60.0"))
    assert problems == [f"{name}: rayVersion is 2.60.0, installed is 2.61.0" for name in (JOB, SERVICE)]


def test_another_locked_ray_is_refused() -> None:
    problems = problems_of(broken_copy(lambda objects: None), versions=RayVersions("2.60.0", "2.61.0"))
    assert problems == [f"{name}: rayVersion is 2.60.0, requirements/cpu.lock pins 2.61.0" for name in (JOB, SERVICE)]


def test_the_lock_is_read() -> None:
    assert ray_versions().locked == "2.60.0"


def test_quantities_are_numbers() -> None:
    assert [quantity(each) for each in ("500m", "2", 4, 0.5)] == [0.5, 2.0, 4.0, 0.5]


def test_a_free_dictionary_may_hold_any_key() -> None:
    document = serve_document(BASE)
    app(document)["deployments"][0]["user_config"] = {"champion": {"anything": 1}}
    serve, problems = parse_serve_config(yaml.safe_dump(document))
    assert serve is not None
    assert problems == []

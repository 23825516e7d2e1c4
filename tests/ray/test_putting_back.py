"""On a real Serve: a refused deployment leaves the release before in Serve's own state, a new replica has it."""

import time
from types import SimpleNamespace

import pytest

from benchmarks.running import ROOT
from cluster.endpoint import application, deploy
from cluster.endpoint.application import APP_NAME, INGRESS, LOOPBACK, free_port
from cluster.endpoint.journal import Journal, Step
from cluster.endpoint.ray_cluster import OBJECT_STORE_BYTES
from cluster.endpoint.state import Endpoint
from cluster.failures import ServingFailedError
from cluster.progress import Progress
from judge_serve.catalogue.served_model import ServedModel
from judge_serve.judging import ModelIdentity, Release
from tests.builders import JUDGE

pytestmark = pytest.mark.ray


def release_of(model):
    return Release(judge=JUDGE.model_copy(update={"model": ModelIdentity(name=model)}))


GOOD, BAD = release_of("m"), release_of("not served here")
NO_REGISTRY = SimpleNamespace(champion_of=lambda name: None, promote=lambda *_: pytest.fail("it is not live"))


@pytest.fixture
def running(tmp_path, monkeypatch):
    """A judging application that answers with GOOD."""
    import ray
    from ray import serve

    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.setenv("RELEVANCE_JUDGE_HOME", str(tmp_path))
    monkeypatch.setattr(application, "IMPORT_PATH", "tests.ray.judging_app:build")
    ray.init(num_cpus=4, include_dashboard=False, log_to_driver=False, object_store_memory=OBJECT_STORE_BYTES)
    model = ServedModel(name="m", source="simulated", revision="r", gpus=0)
    found = application.Application(Endpoint(host=LOOPBACK, port=free_port(), models=(model,)))
    with Progress() as progress:
        found.put(GOOD, progress)
    yield found
    serve.shutdown()
    ray.shutdown()


def replica_names():
    import ray

    named = ray.util.list_named_actors(all_namespaces=True)
    return {one["name"] for one in named if f"{APP_NAME}#{INGRESS}#" in one["name"]}


def test_after_a_refused_deployment_a_new_replica_has_the_release_before(running, tmp_path):
    import ray

    with Progress() as progress, pytest.raises(ServingFailedError, match="as before"):
        deploy._replace(SimpleNamespace(release=BAD), NO_REGISTRY, running, None, progress)
    assert running.running() == GOOD
    assert Journal(tmp_path).read().step is Step.UNDONE
    (before,) = replica_names()
    ray.kill(ray.get_actor(before, namespace="serve"))
    deadline = time.monotonic() + 60.0
    while not replica_names() - {before} and time.monotonic() < deadline:
        time.sleep(0.2)
    assert running.running() == GOOD

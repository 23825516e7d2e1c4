"""The simulated model on a real local Serve: over its handle, over its HTTP ingress, behind the judge ingress."""

import asyncio
import json

import httpx
import pytest

from benchmarks.simulated_engine import SimulatedEngine, SimulatedEngineConfig
from benchmarks.simulated_serving import build, build_model
from cluster.endpoint.application import INGRESS, LOOPBACK, free_port
from judge_serve.catalogue.served_model import deployment_name
from judge_serve.engines.http import HttpEngine, HttpEngineConfig
from judge_serve.engines.serve_handle import connect_serve_engine
from judge_serve.judging import EngineRequest, ModelIdentity, Release
from judge_serve.judging.errors import RateLimitedError
from tests.builders import JUDGE

pytestmark = pytest.mark.ray
APP = "simulated"
CONFIG = SimulatedEngineConfig(model="m", seed=5, malformed_rate=0.3, latency_median_s=0.01, slots=8)
REQUESTS = [EngineRequest(({"role": "user", "content": f"item {number}"},), 64) for number in range(30)]


@pytest.fixture(scope="module")
def url(local_ray):
    """The simulated model as an application; its HTTP address."""
    from ray import serve

    port = free_port()
    serve.start(http_options={"host": LOOPBACK, "port": port})
    serve.run(build({"engine": CONFIG.model_dump(mode="json")}), name=APP, route_prefix="/")
    yield f"http://{LOOPBACK}:{port}"
    serve.shutdown()


def handle():
    from ray import serve

    return serve.get_deployment_handle(deployment_name("m"), APP)


def replies(engine):
    async def ask():
        try:
            return list(await asyncio.gather(*(engine.complete(request) for request in REQUESTS)))
        finally:
            await engine.close()

    return asyncio.run(ask())


def test_the_deployment_answers_over_its_handle_as_the_engine_does(url):
    over_handle = replies(connect_serve_engine(APP, deployment_name("m"), "m"))
    assert over_handle == replies(SimulatedEngine(CONFIG))


def test_the_deployment_answers_over_http_as_the_engine_does(url):
    over_http = replies(HttpEngine(HttpEngineConfig(base_url=f"{url}/v1", model="m", is_vllm=True)))
    assert over_http == replies(SimulatedEngine(CONFIG))


def test_an_outage_commanded_over_the_handle_meets_callers_of_both_doors(url):
    handle().fail.remote({"calls": 60, "status": 429, "retry_after_s": 1.5}).result()
    with pytest.raises(RateLimitedError, match="answered 429: simulated outage"):
        replies(connect_serve_engine(APP, deployment_name("m"), "m"))
    with pytest.raises(RateLimitedError, match="answered 429") as caught:
        replies(HttpEngine(HttpEngineConfig(base_url=f"{url}/v1", model="m")))
    assert caught.value.retry_after_s == 1.5
    handle().recover.remote().result()
    assert httpx.get(f"{url}/v1/models").status_code == 200
    assert len(replies(connect_serve_engine(APP, deployment_name("m"), "m"))) == len(REQUESTS)


def test_the_replica_says_which_process_it_is_and_what_it_served(url):
    before = handle().status.remote().result()
    replies(connect_serve_engine(APP, deployment_name("m"), "m"))
    after = handle().status.remote().result()
    assert after["served"] - before["served"] == len(REQUESTS)
    assert after["pid"] == before["pid"] == httpx.get(f"{url}/simulated/status").json()["pid"]
    assert after["busy_slot_s"] - before["busy_slot_s"] == pytest.approx(0.3, rel=1.0)


def test_the_deployment_stands_in_for_a_judge_model_behind_the_judge_ingress(url):
    from ray import serve

    from judge_serve.serving.ingress import JudgeIngress, api

    well = CONFIG.model_copy(update={"malformed_rate": 0.0})
    release = Release(judge=JUDGE.model_copy(update={"model": ModelIdentity(name="m")}))
    ingress = serve.deployment(
        serve.ingress(api)(JudgeIngress), name=INGRESS, user_config={"champion": json.loads(release.to_json())}
    )
    model = build_model({"engine": well.model_dump(mode="json")})
    serve.run(ingress.bind(model_0=("m", model)), name="judge", route_prefix="/judge")
    pair = {"query": "cat food", "document": "gold:4, dry food for cats"}
    answer = httpx.post(f"{url}/judge/v1/judge", json=pair, timeout=30.0).json()
    assert (answer["rating"], answer["model"], answer["release"]) == (4, "m", release.id)

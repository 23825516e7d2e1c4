"""Workers and Serve replicas killed with kill -9 in the middle of a wave change no result and lose no judgment."""

import asyncio
import time
from functools import partial

import pytest

from benchmarks.outages import Outage, write_outage
from benchmarks.simulated_engine import SimulatedEngine
from benchmarks.simulated_serving import build, endpoint_process
from cluster.endpoint.application import LOOPBACK, free_port
from judge_serve.catalogue.served_model import deployment_name
from judge_serve.engines.http import HttpEngine, HttpEngineConfig
from judge_serve.engines.serve_handle import connect_serve_engine
from judge_serve.judging import RetryPolicy
from judge_serve.judging.errors import OutageError
from optimize_workers.evaluation.recorded import Recorded
from optimize_workers.evaluation.watched import Watched
from optimize_workers.ledger import Ledger
from tests.ray.survival import CALLS, CONFIG, Disturber, kill, replies, run_disturbed, undisturbed

pytestmark = pytest.mark.ray
APP = "simulated"


@pytest.fixture
def pool(local_ray):
    """Makes pools and closes them."""
    from optimize_workers.evaluation.workers import WorkerPool

    pools = []

    def make(connect, **options):
        pools.append(WorkerPool(connect, max_calls_in_flight=32, **options))
        return pools[-1]

    yield make
    for one in pools:
        one.close()


@pytest.fixture(scope="module")
def serve_replicas(local_ray):
    """Process ids of two replicas of the simulated model on a real Serve."""
    from ray import serve

    serve.start(http_options={"host": LOOPBACK, "port": free_port()})
    args = {"engine": CONFIG.model_dump(mode="json"), "num_replicas": 2}
    serve.run(build(args), name=APP, route_prefix="/")
    handle = serve.get_deployment_handle(deployment_name("m"), APP)

    async def pids():
        return {(await handle.status.remote())["pid"] for _ in range(30)}

    yield lambda: asyncio.run(pids())
    serve.shutdown()


def test_a_worker_killed_in_mid_wave(pool, tmp_path):
    workers = pool(partial(SimulatedEngine, CONFIG))
    run_disturbed(workers, tmp_path, lambda: kill(workers.worker_pids[0]))


def test_all_workers_killed_in_mid_wave(pool, tmp_path):
    workers = pool(partial(SimulatedEngine, CONFIG))
    run_disturbed(workers, tmp_path, lambda: [kill(pid) for pid in workers.worker_pids])


def test_a_replica_killed_in_mid_wave(pool, serve_replicas, tmp_path):
    connect = partial(connect_serve_engine, APP, deployment_name("m"), "m")
    run_disturbed(pool(connect), tmp_path, lambda: kill(min(serve_replicas())))


def test_an_endpoint_that_breaks_down_and_comes_back(pool, tmp_path):
    """429 with Retry-After, then a process that is gone, then the same address again."""
    outage = tmp_path / "outage"
    config = CONFIG.model_copy(update={"outage_file": outage})
    with endpoint_process(config) as url:
        workers = pool(partial(HttpEngine, HttpEngineConfig(base_url=url, model="m", is_vllm=True)))

        def disturb():
            write_outage(outage, Outage(status=429, retry_after_s=0.5))
            time.sleep(2.0)
            outage.unlink()

        run_disturbed(workers, tmp_path, disturb)


def test_a_wave_that_failed_in_an_outage_goes_on_from_what_is_recorded(pool, tmp_path):
    outage = tmp_path / "outage"
    config = CONFIG.model_copy(update={"outage_file": outage})
    workers = pool(partial(SimulatedEngine, config), retry=RetryPolicy(attempts=1, max_outage_s=1.0))
    ledger = Ledger(f"sqlite:///{tmp_path / 'ledger.db'}")
    watcher = Disturber(lambda: write_outage(outage, Outage()))
    with pytest.raises(OutageError, match=r"no answer for .* what was judged is recorded"):
        Watched(Recorded(workers, ledger), watcher).judge(CALLS)
    outage.unlink()
    ledger.flush()
    kept = ledger.stats()["judgments"]
    assert len(CALLS) / 3 < kept < len(CALLS)
    layers = Watched(Recorded(workers, ledger))
    assert replies(layers.judge(CALLS)) == undisturbed()
    assert layers.counts.cached == kept
    ledger.close()


@pytest.mark.nightly
def test_twenty_random_kills(pool, tmp_path):
    import random
    import threading

    workers = pool(partial(SimulatedEngine, CONFIG.model_copy(update={"latency_median_s": 1.0})))
    stopped = threading.Event()
    killed = []

    def go_on_killing():
        chance = random.Random(0)
        while not stopped.wait(chance.uniform(0.2, 3.0)) and len(killed) < 20:
            killed.append(chance.choice(workers.worker_pids))
            try:
                kill(killed[-1])
            except ProcessLookupError:
                killed.pop()

    killer = threading.Thread(target=go_on_killing)
    run_disturbed(workers, tmp_path, killer.start)
    stopped.set()
    killer.join()
    assert killed

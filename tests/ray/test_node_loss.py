"""A whole node lost in the middle of a wave: its raylet and all its workers die at once."""

import time
from functools import partial

import psutil
import pytest

from benchmarks.simulated_engine import SimulatedEngine
from tests.ray.survival import CONFIG, run_disturbed

pytestmark = pytest.mark.ray


@pytest.fixture
def cluster():
    """A real Ray of a head without room for workers and two nodes with room for them."""
    import ray
    from ray.cluster_utils import Cluster

    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 0})
    nodes = [cluster.add_node(num_cpus=1) for _ in range(2)]
    ray.init(address=cluster.address, log_to_driver=False)
    cluster.wait_for_nodes()
    yield cluster, nodes
    ray.shutdown()
    cluster.shutdown()


def test_a_node_lost_in_mid_wave(cluster, tmp_path):
    from optimize_workers.evaluation.workers import WorkerPool

    whole, nodes = cluster
    pool = WorkerPool(partial(SimulatedEngine, CONFIG), max_calls_in_flight=32)
    lost = []

    def lose_the_node_of_a_worker():
        pid = pool.worker_pids[0]
        raylet = psutil.Process(pid).ppid()
        (node,) = [one for one in nodes if one.all_processes["raylet"][0].process.pid == raylet]
        lost.append((node, pid))
        whole.remove_node(node, allow_graceful=False)

    run_disturbed(pool, tmp_path, lose_the_node_of_a_worker)
    ((node, pid),) = lost
    assert not node.any_processes_alive()
    deadline = time.monotonic() + 60  # a worker notices after a while that its raylet is gone
    while psutil.pid_exists(pid) and time.monotonic() < deadline:
        time.sleep(0.2)
    assert not psutil.pid_exists(pid)
    pool.close()

"""A whole node lost in the middle of a wave: its raylet and all its workers die at once."""

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
    from optimize_workers.workers import WorkerPool

    whole, nodes = cluster
    pool = WorkerPool(partial(SimulatedEngine, CONFIG), max_calls_in_flight=32)
    pids = []

    def lose_a_node():
        pids.extend(pool.worker_pids)
        whole.remove_node(nodes[0], allow_graceful=False)

    run_disturbed(pool, tmp_path, lose_a_node)
    assert not nodes[0].any_processes_alive()
    assert len(pids) == 2 and sum(map(psutil.pid_exists, pids)) == 1, "one of the two workers lived on that node"
    pool.close()

"""One real local Ray for the tests of a module."""

import pytest

from cluster.endpoint.ray_cluster import OBJECT_STORE_BYTES


@pytest.fixture(scope="module")
def local_ray():
    """Ray on this machine, stopped after the module."""
    import ray

    ray.init(num_cpus=4, include_dashboard=False, log_to_driver=False, object_store_memory=OBJECT_STORE_BYTES)
    yield
    ray.shutdown()

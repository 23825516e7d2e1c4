"""A run, its desk, the door, who is in and who is not."""

import pytest
from starlette.testclient import TestClient

from cluster.review.app import build_app
from cluster.review.desk import Desk
from cluster.review.door import Door
from cluster.runs.recorded import read_run
from tests.recorded_runs import make_pairs, write_run
from tests.unit.cluster.review.visiting import BASE, NOON, Clock, MemoryEvents


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return read_run(write_run(tmp_path_factory.mktemp("runs") / "run", make_pairs(12)))


@pytest.fixture
def store():
    return MemoryEvents()


@pytest.fixture
def desk(run, store):
    return Desk(run, store, "ada", 50, clock=lambda: NOON)


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def door(clock):
    return Door("127.0.0.1", 8000, clock)


@pytest.fixture
def stranger(desk, door):
    """A client without the access token."""
    return TestClient(build_app(desk, door), base_url=BASE)


@pytest.fixture
def client(stranger, door):
    """A client that came through the door."""
    answer = stranger.get(f"/?token={door.access_token}")
    assert (answer.status_code, answer.history[0].status_code, str(answer.url)) == (200, 303, f"{BASE}/")
    return stranger

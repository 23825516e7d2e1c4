"""What a session knows of its endpoint, as results tell it."""

from cluster.endpoint.session import known_of
from judge_serve.engines.dialect import Dialect
from judge_serve.engines.http import HttpEngineConfig

CONFIG = HttpEngineConfig(base_url="http://host/v1", model="m", dialect=Dialect(dropped={"seed"}))


def test_what_workers_learned_is_told_beside_what_was_known():
    learned = [{"in_flight": 4}, {"dropped": ["temperature"], "in_flight": 9}, {"folds_system": True}]
    assert known_of(CONFIG, learned) == {
        "address": "http://host/v1",
        "is_vllm": False,
        "dialect": {"dropped": ["seed", "temperature"], "folds_system": True},
    }


def test_an_endpoint_that_takes_everything_has_an_empty_dialect():
    assert known_of(HttpEngineConfig(base_url="http://host/v1", model="m"), [])["dialect"] == {}

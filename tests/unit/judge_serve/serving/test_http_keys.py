"""Keys of the judge's HTTP side: who is let in, and that nobody else reaches the model."""

import hashlib
import os

import pytest

from judge_serve.serving.auth import VARIABLE
from tests.unit.judge_serve.serving.desk import Desk, assert_problem


@pytest.fixture
def keys_file(tmp_path, monkeypatch):
    path = tmp_path / "keys"
    path.write_text(hashlib.sha256(b"right").hexdigest())
    monkeypatch.setenv(VARIABLE, str(path))
    return path


@pytest.fixture(autouse=True)
def no_keys(monkeypatch):
    """Keys of the machine that runs the tests play no part."""
    if VARIABLE in os.environ:
        monkeypatch.delenv(VARIABLE)


PROTECTED = [
    ("POST", "/v1/judge"),
    ("POST", "/v1/judge/batch"),
    ("GET", "/v1/release"),
    ("GET", "/v1/models"),
    ("POST", "/v1/chat/completions"),
    ("GET", "/healthz/"),
    ("GET", "/metrics"),
    ("GET", "//healthz"),
]


@pytest.mark.parametrize(("method", "path"), PROTECTED)
def test_without_a_key_only_public_paths_answer(keys_file, method, path):
    response = Desk().deploy().call(method, path)
    assert_problem(response, 401, "Authorization: Bearer KEY")
    assert response.headers["www-authenticate"] == "Bearer"


@pytest.mark.parametrize(
    "header",
    ["", "right", "Bearer", "Bearer ", "Bearer wrong", "Basic right", "Bearer right right", "Bearer\u00a0right"],
)
def test_a_wrong_authorization_is_refused_before_the_model_is_asked(keys_file, header):
    desk = Desk().deploy()
    assert_problem(desk.judge(headers={"authorization": header.encode("latin-1")}), 401, "known key")
    assert desk.handle.bodies == []


@pytest.mark.parametrize("scheme", ["Bearer", "bearer", "BEARER"])
def test_a_known_key_is_let_in(keys_file, scheme):
    assert Desk().deploy().judge(headers={"authorization": f"{scheme} right"}).status_code == 200


@pytest.mark.parametrize("path", ["/healthz", "/readyz", "/openapi.json"])
def test_probes_need_no_key(keys_file, path):
    assert Desk().deploy().call("GET", path).status_code == 200


def test_a_broken_keys_file_lets_nobody_in(keys_file):
    keys_file.unlink()
    desk = Desk().deploy()
    response = desk.judge(headers={"authorization": "Bearer right"})
    assert_problem(response, 503, "keys file is unusable")
    assert str(keys_file) not in response.text
    assert desk.handle.bodies == []


def test_a_broken_keys_file_does_not_look_like_a_dead_process(keys_file):
    keys_file.unlink()
    assert Desk().call("GET", "/healthz").status_code == 200


def test_without_configured_keys_everybody_is_let_in():
    assert Desk().deploy().judge().status_code == 200

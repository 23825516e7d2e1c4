"""The announcement of a running `serve`: found while it runs, ignored when it is a leftover."""

import os
import subprocess
import sys

import psutil
import pytest

from cluster.endpoint.state import ServeState, clear_state, read_state, started_at, write_state
from judge_serve.catalogue.served_model import ServedModel

MODEL = ServedModel(name="embedded", source="embedded", revision="r1", gpus=0)


def state(pid=None, began=None):
    return ServeState(
        pid=os.getpid() if pid is None else pid,
        started_at=started_at(os.getpid()) if began is None else began,
        ray_address="127.0.0.1:6379",
        host="127.0.0.1",
        port=8_000,
        models=(MODEL,),
    )


def test_a_running_serve_is_found(tmp_path):
    write_state(tmp_path / "home", state())
    assert read_state(tmp_path / "home") == state()


def test_its_address_is_where_others_ask():
    assert state().url == "http://127.0.0.1:8000"


def test_without_an_announcement_nothing_runs(tmp_path):
    assert read_state(tmp_path) is None


def test_a_withdrawn_announcement_is_gone(tmp_path):
    write_state(tmp_path, state())
    clear_state(tmp_path)
    clear_state(tmp_path)
    assert read_state(tmp_path) is None


def test_the_leftover_of_a_dead_process_counts_as_none(tmp_path):
    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait()
    write_state(tmp_path, state(dead.pid))
    assert read_state(tmp_path) is None


@pytest.mark.parametrize("text", ["", "{", "{}", "[]", '{"pid": "x"}'])
def test_half_a_file_counts_as_none(tmp_path, text):
    (tmp_path / "serve.json").write_text(text)
    assert read_state(tmp_path) is None


def test_the_announcement_appears_whole(tmp_path):
    write_state(tmp_path, state())
    assert [path.name for path in tmp_path.iterdir()] == ["serve.json"]


@pytest.mark.parametrize(
    ("changes", "is_served"),
    [
        ({}, True),
        ({"name": "other"}, False),
        ({"revision": "r2"}, False),
        ({"source": "/x"}, False),
        ({"gpus": 1}, True),
    ],
)
def test_the_same_weights_under_the_same_name_are_served(changes, is_served):
    assert state().serves(MODEL.model_copy(update=changes)) is is_served


def test_a_recycled_process_id_counts_as_none(tmp_path):
    write_state(tmp_path, state(began=1.0))
    assert read_state(tmp_path) is None


@pytest.mark.parametrize("step_s", [1, -1, 3_600])
def test_a_running_serve_is_found_after_the_clock_was_set(tmp_path, monkeypatch, step_s):
    write_state(tmp_path, state())
    boot_time = psutil.boot_time()
    monkeypatch.setattr("psutil._pslinux.boot_time", lambda: boot_time + step_s)  # as the kernel tells it then
    assert read_state(tmp_path) == state()


def test_a_process_is_told_by_its_start_whatever_its_name(tmp_path):
    name = tmp_path / "a) b (c"
    name.symlink_to("/bin/sleep")
    with subprocess.Popen([name, "60"]) as process:
        began = started_at(process.pid)
        process.kill()
    assert began is not None and began - started_at(os.getpid()) >= 0

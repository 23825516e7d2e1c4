"""A search killed with kill -9 and resumed from the command line decides what the undisturbed one decides."""

import json
import os
import signal
import subprocess
import sys
import time

import httpx
import psutil
import pytest

from benchmarks.simulated_engine import Effect, SimulatedEngineConfig
from benchmarks.simulated_serving import endpoint_process
from cluster.configs import EXAMPLES

pytestmark = pytest.mark.ray
CONFIG = SimulatedEngineConfig(
    model="m",
    seed=1,
    malformed_rate=0.5,
    rating_noise=0.3,
    latency_median_s=0.1,
    latency_sigma=0.5,
    effects=(Effect(pattern="one line", malformed_rate=-0.3),),
)


@pytest.fixture(scope="module")
def endpoint():
    """A simulated model at an OpenAI-compatible address."""
    with endpoint_process(CONFIG) as url:
        yield url


@pytest.fixture
def optimize(endpoint, tmp_path):
    """Starts `optimize` in a home of its own, as a user does."""
    started = []

    def start(home, *more, optimizer="mipro"):
        data, out = EXAMPLES / "workplace.jsonl", tmp_path / home / "run"
        words = ["optimize", str(data), "--optimizer", optimizer, "--model", f"{endpoint}#m", "--budget", "150"]
        environment = {**os.environ, "RELEVANCE_JUDGE_HOME": str(tmp_path / home)}
        process = subprocess.Popen(
            [sys.executable, "-m", "cluster", *words, "--limit", "20", "--out", str(out), "--json", *more],
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        started.append(process)
        return process, out

    yield start
    for process in started:
        process.kill()
        process.communicate()


def finish(process):
    stdout, stderr = process.communicate(timeout=180)
    assert process.returncode == 0, stderr[-2_000:]
    return json.loads(stdout)


def candidates(out):
    lines = [json.loads(line) for line in (out / "candidates.jsonl").read_text().splitlines()]
    return [{key: line.get(key) for key in ("candidate", "score", "n", "calls", "origin", "refused")} for line in lines]


def served(endpoint):
    return httpx.get(f"{endpoint.removesuffix('/v1')}/simulated/status").json()["served"]


def wait_for_trials(process, out, num_trials):
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline and process.poll() is None:
        file = out / "candidates.jsonl"
        if file.exists() and len(file.read_text().splitlines()) >= num_trials:
            return
        time.sleep(0.02)
    pytest.fail(f"the search did not come to trial {num_trials}: {process.communicate()[1][-2_000:]}")


def kill_after_trials(process, out, num_trials):
    wait_for_trials(process, out, num_trials)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()


@pytest.mark.parametrize("optimizer", ["mipro", "gepa"])
def test_a_killed_search_resumes_to_the_same_result_and_pays_only_for_what_is_missing(optimize, endpoint, optimizer):
    asked_by_others = served(endpoint)
    whole, whole_out = optimize("whole", optimizer=optimizer)
    undisturbed = finish(whole)
    asked_by_whole = served(endpoint) - asked_by_others

    killed, out = optimize("killed", optimizer=optimizer)
    kill_after_trials(killed, out, 4)
    asked_before_kill = served(endpoint) - asked_by_others - asked_by_whole
    resumed = finish(optimize("killed", "--resume", optimizer=optimizer)[0])
    asked_after_kill = served(endpoint) - asked_by_others - asked_by_whole - asked_before_kill

    assert candidates(out) == candidates(whole_out)
    for key in ("release", "calls", "refusals", "comparison"):
        assert resumed[key] == undisturbed[key]
    assert resumed["cached"] > 0
    calls_in_flight = 64
    assert asked_before_kill + asked_after_kill <= asked_by_whole + calls_in_flight


def test_a_run_is_not_resumed_with_another_config(optimize):
    killed, out = optimize("changed")
    kill_after_trials(killed, out, 1)
    process, _ = optimize("changed", "--resume", "--seed", "7")
    _, stderr = process.communicate(timeout=60)
    assert process.returncode == 2
    assert "--resume" in stderr and "seed was 0, is 7" in stderr


@pytest.mark.parametrize("optimizer", ["mipro", "gepa"])
def test_ctrl_c_stops_a_search_and_all_that_it_started(optimize, optimizer):
    process, out = optimize("stopped", optimizer=optimizer)
    wait_for_trials(process, out, 2)
    ours = psutil.Process(process.pid).children(recursive=True)
    process.send_signal(signal.SIGINT)
    _, stderr = process.communicate(timeout=40)
    assert process.returncode == 130
    assert "interrupted" in stderr
    _, alive = psutil.wait_procs(ours, timeout=10)
    assert alive == []
    assert not (out / "result.json").exists()

"""A search killed with kill -9 and resumed from the command line decides what the undisturbed one decides."""

import json
import os
import random
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest

from benchmarks.ray_head import CLUSTER_OF_OTHERS, ray_head
from benchmarks.simulated_engine import Effect, SimulatedEngineConfig
from benchmarks.simulated_serving import endpoint_process
from cluster.endpoint.config import EXAMPLES
from judge_serve.judging.canaries import NUM_CANARIES

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
CALLS_IN_FLIGHT = 64
SEED = 20
BUDGETS = {"mipro": 150, "gepa": 150, "bullets": 600}  # what a search needs to have something to lose


class Starter:
    """Starts `optimize` in a home of its own, as a user does; `bullets` is the file that bullets are chosen from.

    With the address of a Ray that runs, it works there, which is quicker; a killed one then leaves its workers to it.
    """

    def __init__(self, endpoint: str, folder: Path, ray_address: str | None = None) -> None:
        self._endpoint = endpoint
        self._on_ray = {**CLUSTER_OF_OTHERS, "RAY_ADDRESS": ray_address} if ray_address else {}
        self._folder = folder
        self.bullets = shutil.copy(EXAMPLES / "bullets.txt", folder / "bullets.txt")
        self._started: list[subprocess.Popen[str]] = []

    def __call__(self, home, *more, optimizer="mipro"):
        data, out = EXAMPLES / "workplace.jsonl", self._folder / home / "run"
        words = ["optimize", str(data), "--optimizer", optimizer, "--model", f"{self._endpoint}#m"]
        words += ["--budget", str(BUDGETS[optimizer])]
        words += ["--bullets", str(self.bullets), "--max-bullets", "4"] if optimizer == "bullets" else []
        environment = {**os.environ, "RELEVANCE_JUDGE_HOME": str(self._folder / home), **self._on_ray}
        process = subprocess.Popen(
            [sys.executable, "-m", "cluster", *words, "--limit", "20", "--out", str(out), "--json", *more],
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        self._started.append(process)
        return process, out

    def close(self):
        for process in self._started:
            process.kill()
            process.communicate()


@dataclass(frozen=True)
class Undisturbed:
    """What a run came to that nothing happened to; `keys` are those of its ledger."""

    result: dict[str, Any]
    candidates: list[dict[str, Any]]
    keys: set[bytes]


@pytest.fixture(scope="module")
def endpoint():
    """A simulated model at an OpenAI-compatible address."""
    with endpoint_process(CONFIG) as url:
        yield url


@pytest.fixture(scope="module")
def ray_address():
    """A Ray that is started once."""
    with tempfile.TemporaryDirectory(prefix="rj") as folder, ray_head(Path(folder)) as address:
        yield address


@pytest.fixture
def optimize(endpoint, ray_address, tmp_path):
    starter = Starter(endpoint, tmp_path, ray_address)
    yield starter
    starter.close()


@pytest.fixture
def optimize_alone(endpoint, tmp_path):
    """With a Ray of its own, as on a user's machine."""
    starter = Starter(endpoint, tmp_path)
    yield starter
    starter.close()


@pytest.fixture(scope="module")
def undisturbed(endpoint, ray_address, tmp_path_factory):
    """Undisturbed runs by optimizer, each made when it is first asked for."""
    starter = Starter(endpoint, tmp_path_factory.mktemp("undisturbed"), ray_address)
    known = {}

    def run(optimizer):
        if optimizer not in known:
            process, out = starter(optimizer, optimizer=optimizer)
            known[optimizer] = Undisturbed(finish(process), candidates(out), set(ledger_keys(out)))
        return known[optimizer]

    yield run
    starter.close()


def finish(process):
    stdout, stderr = process.communicate(timeout=180)
    assert process.returncode == 0, stderr[-2_000:]
    return json.loads(stdout)


def candidates(out):
    return [json.loads(line) for line in (out / "candidates.jsonl").read_text().splitlines()]


def ledger_keys(out):
    """Keys of all judgments and reflections in the ledger of a run; none where there is no ledger yet."""
    query = "select key from judgments union all select key from reflections"
    try:
        with closing(sqlite3.connect(f"file:{out.parent / 'ledger.db'}?mode=ro", uri=True)) as connection:
            return [key for (key,) in connection.execute(query)]
    except sqlite3.OperationalError:  # no file, no tables yet
        return []


def status(endpoint):
    return httpx.get(f"{endpoint.removesuffix('/v1')}/simulated/status").json()


def served(endpoint):
    """Calls answered, once none is under way."""
    while True:
        before = status(endpoint)
        time.sleep(0.3)
        after = status(endpoint)
        if not before["busy"] and not after["busy"] and before["served"] == after["served"]:
            return after["served"]


def wait_until(process, has_come, moment):
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline and process.poll() is None:
        if has_come():
            return
        time.sleep(0.02)
    pytest.fail(f"the search did not come to {moment}: {process.communicate()[1][-2_000:]}")


def wait_for_trials(process, out, num_trials):
    file = out / "candidates.jsonl"
    wait_until(
        process,
        lambda: file.exists() and len(file.read_text().splitlines()) >= num_trials,
        f"trial {num_trials}",
    )


def kill(process):
    os.kill(process.pid, signal.SIGKILL)
    process.wait()


def kill_after_trials(process, out, num_trials):
    wait_for_trials(process, out, num_trials)
    kill(process)


def kill_after_calls(process, out, num_calls):
    wait_until(process, lambda: len(ledger_keys(out)) >= num_calls, f"call {num_calls}")
    kill(process)


def num_shared_calls(lines):
    """Judge calls that several lessons of one parent need; each pays for them where they are under way at once."""
    origins = [line.get("origin") or {} for line in lines]
    lessons = {(*origin["parents"], *origin["feedback"]) for origin in origins if "feedback" in origin}
    return sum(map(len, lessons)) - len(lessons) - len({(lesson[0], doc) for lesson in lessons for doc in lesson[1:]})


def moment(part, num_parts, last):
    """A number of calls before the last, drawn from one of so many equal parts of a run."""
    earliest, latest = (1 + part * (last - 1) // num_parts, (part + 1) * (last - 1) // num_parts)
    return random.Random(f"{SEED} {part} {num_parts}").randint(earliest, latest)


def check_resumed(optimize, endpoint, whole, optimizer, kill_it):
    """Kill a run and start it anew: it decides what the undisturbed one decides and pays only for what is missing."""
    asked_by_others = served(endpoint)
    killed, out = optimize("killed", optimizer=optimizer)
    kill_it(killed, out)
    assert not (out / "result.json").exists()
    recorded = set(ledger_keys(out))
    asked_by_killed = served(endpoint) - asked_by_others
    optimize.bullets.write_text("Another line that nobody was offered.\n", encoding="utf-8")  # no longer read
    resumed = finish(optimize("killed", "--resume", optimizer=optimizer)[0])
    asked_by_resumed = served(endpoint) - asked_by_others - asked_by_killed
    print(f"{len(recorded)} calls recorded and {asked_by_killed} asked before the kill, {asked_by_resumed} after it")

    assert candidates(out) == whole.candidates
    for key in ("release", "calls", "refusals", "comparison"):
        assert resumed[key] == whole.result[key]
    assert set(ledger_keys(out)) == whole.keys, "the same calls, no others"
    assert asked_by_killed - NUM_CANARIES - len(recorded) <= CALLS_IN_FLIGHT
    missing, judged_by_resumed = len(whole.keys - recorded), asked_by_resumed - NUM_CANARIES
    assert missing <= judged_by_resumed <= missing + num_shared_calls(whole.candidates) < len(whole.keys)


OPTIMIZERS = ("mipro", "gepa", "bullets")


@pytest.mark.parametrize(
    ("optimizer", "part", "num_parts"),
    [
        ("mipro", 0, 1),
        ("gepa", 0, 2),
        ("gepa", 1, 2),
        ("bullets", 0, 1),
        *(pytest.param(one, part, 10, marks=pytest.mark.nightly) for one in OPTIMIZERS for part in range(10)),
    ],
)
def test_a_search_killed_at_any_moment_resumes_to_the_same_result_and_pays_only_for_what_is_missing(
    optimize, endpoint, undisturbed, optimizer, part, num_parts
):
    whole = undisturbed(optimizer)
    num_calls = moment(part, num_parts, len(whole.keys))
    print(f"seed {SEED}: kill -9 after {num_calls} of {len(whole.keys)} recorded calls")
    check_resumed(optimize, endpoint, whole, optimizer, lambda *killed: kill_after_calls(*killed, num_calls))


def test_a_run_is_not_resumed_with_another_config(optimize):
    killed, out = optimize("changed")
    kill_after_trials(killed, out, 1)
    process, _ = optimize("changed", "--resume", "--seed", "7")
    _, stderr = process.communicate(timeout=60)
    assert process.returncode == 2
    assert "--resume" in stderr and "seed was 0, is 7" in stderr


@pytest.mark.parametrize(
    ("optimizer", "number", "status"),
    [
        ("gepa", signal.SIGINT, 130),  # which asks from threads of its own
        ("mipro", signal.SIGTERM, 143),
        *(pytest.param(one, signal.SIGINT, 130, marks=pytest.mark.nightly) for one in ("mipro", "bullets")),
    ],
)
def test_ctrl_c_and_sigterm_stop_a_search_and_all_that_it_started(optimize_alone, optimizer, number, status):
    process, out = optimize_alone("stopped", optimizer=optimizer)
    wait_for_trials(process, out, 2)
    ours = psutil.Process(process.pid).children(recursive=True)
    process.send_signal(number)
    _, stderr = process.communicate(timeout=40)
    assert process.returncode == status, stderr[-3_000:]
    assert stderr.splitlines()[-1].endswith("; everything started here was stopped")
    assert not [line for line in stderr.splitlines() if "raylet" in line or "serve" in line], "Ray keeps to itself"
    _, alive = psutil.wait_procs(ours, timeout=10)
    assert alive == []
    assert not (out / "result.json").exists()

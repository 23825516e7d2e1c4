"""Inside of a Ray cluster of others: no token, applications of others, nodes with an older version of this program."""

import json
import os
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from benchmarks.ray_head import ray_head
from cluster.endpoint.config import EXAMPLES
from judge_serve.judging import EngineReply
from tests.contract.endpoints import Endpoint, completion, json_answer
from tests.fakes import json_reply

pytestmark = pytest.mark.ray
DRIVER = Path(__file__).with_name("cluster_driver.py")
APPLICATIONS = """
from ray import serve

@serve.deployment(name="JudgeIngress", ray_actor_options={"num_cpus": 0.1})
class Says:
    def __init__(self, text):
        self._text = text

    def __call__(self, request):
        return self._text

def foreign(args):
    return Says.bind("of others")

def ours(args):
    from judge_serve.catalogue.served_model import ServedModel  # not the older one

    return Says.bind(ServedModel.model_validate(args["models"][0]).name)
"""


class Cluster:
    """A cluster without token authentication, whose workers find an older version of our packages, and its user."""

    def __init__(self, address, folder, environment):
        self.address = address
        self.environment = environment
        self._folder = folder

    def run(self, *arguments):
        """A program of the cluster's user, in a folder of its own; returns what it did."""
        return subprocess.run(
            [sys.executable, *map(str, arguments)],
            env={**self.environment, "RAY_ADDRESS": self.address},
            cwd=self._folder,
            capture_output=True,
            text=True,
            timeout=180,
        )

    def drive(self, what):
        """One function of the driver beside this test; returns what it printed as JSON."""
        done = self.run(DRIVER, what)
        assert done.returncode == 0, done.stderr[-3_000:]
        return json.loads(done.stdout.splitlines()[-1])


@pytest.fixture(scope="module")
def cluster(tmp_path_factory):
    folder = tmp_path_factory.mktemp("c")  # short: Ray's sockets are below it
    (folder / "applications.py").write_text(APPLICATIONS)
    for package in ("cluster", "judge_serve", "optimize_workers"):
        (folder / "older" / package).mkdir(parents=True)
        (folder / "older" / package / "__init__.py").write_text("raise ImportError('an older version')\n")
    kept = {name: value for name, value in os.environ.items() if not name.startswith("RAY_")}
    environment = {**kept, "HOME": str(folder), "RELEVANCE_JUDGE_HOME": str(folder / "home"), "PYTHONPATH": str(folder)}
    with ray_head(folder / "ray", {"PYTHONPATH": f"{folder / 'older'}{os.pathsep}{folder}"}) as address:
        yield Cluster(address, folder, environment)


def test_an_endpoint_is_judged_on_workers_of_the_cluster_and_no_serve_is_started(cluster):
    with closing(Endpoint()) as endpoint:
        endpoint.answer = json_answer(completion(EngineReply(json_reply(3), "stop", 10, 1)))
        words = ["evaluate", EXAMPLES / "workplace.jsonl", "--split", "val", "--limit", "20", "--out", "out", "--json"]
        done = cluster.run("-m", "cluster", *words, "--model", f"{endpoint.url}#m")
    assert done.returncode == 0, done.stderr[-3_000:]
    assert json.loads(done.stdout)["valid"] == 20
    assert cluster.drive("serve_of_the_cluster") is None


def test_what_a_cluster_serves_stays_while_a_model_is_served_beside_it_and_after(cluster):
    found = cluster.drive("serve_beside_others")
    assert found["during"] == {"/declared": "of others", "/program": "of others", "/ours": "m"}
    assert found["after"] == {"/declared": "of others", "/program": "of others", "/ours": None}
    assert cluster.drive("serve_of_the_cluster") is not None


def test_an_address_of_another_kind_is_refused(cluster):
    environment = {**cluster.environment, "RAY_ADDRESS": "ray://head:10001"}
    words = ["evaluate", str(EXAMPLES / "workplace.jsonl"), "--model", "embedded", "--out", "out"]
    done = subprocess.run([sys.executable, "-m", "cluster", *words], env=environment, capture_output=True, text=True)
    assert done.returncode == 2
    assert "ray job submit" in done.stderr

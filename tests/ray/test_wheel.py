"""The wheel, installed outside of the checkout, holds all that commands need."""

import json
import os
import shutil
import subprocess
import sys
import sysconfig
import venv
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from judge_serve.judging import EngineReply
from tests.contract.endpoints import Endpoint, completion, json_answer
from tests.fakes import json_reply

pytestmark = pytest.mark.ray
ROOT = Path(__file__).resolve().parents[2]
SOURCES = (
    "cluster",
    "judge_serve",
    "optimize_workers",
    "examples",
    "pyproject.toml",
    "setup.py",
    "README.md",
    "LICENSE",
)


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    """The folder of an environment that holds the wheel, and of everything else what this one has."""
    source, target = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("environment")
    for name in SOURCES:
        copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copy
        copy(ROOT / name, source / name)
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--quiet"]
    subprocess.run([*pip, "wheel", str(source), "--no-deps", "--no-build-isolation", "-w", str(source)], check=True)
    (wheel,) = source.glob("*.whl")
    venv.create(target, with_pip=False, symlinks=True)
    packages = next(target.glob("lib/python*/site-packages"))
    # a plain path, so that the editable install of the checkout is not among what it adds
    (packages / "dependencies.pth").write_text(sysconfig.get_path("purelib") + "\n")
    subprocess.run(
        [*pip, "--python", str(target / "bin" / "python"), "install", "--no-deps", "--no-index", str(wheel)], check=True
    )
    return target


@pytest.fixture
def outside(installed, tmp_path):
    """Runs the installed command in a folder of its own; returns what it printed as JSON."""
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    environment["RELEVANCE_JUDGE_HOME"] = str(tmp_path / "home")

    def run(*arguments):
        done = subprocess.run(
            [installed / "bin" / "relevance-judge", *arguments, "--json"],
            cwd=tmp_path,
            env=environment,
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stderr[-2_000:]
        return json.loads(done.stdout)

    return run


def test_evaluate_and_label_run_where_no_checkout_is(outside, installed, tmp_path):
    row = {"query": "cat food", "document": "Dry food.", "rating": 4, "split": "test"}
    data = tmp_path / "data.jsonl"
    data.write_text("".join(json.dumps({**row, "query": f"cat food {n}"}) + "\n" for n in range(5)))
    endpoint = Endpoint()
    endpoint.answer = json_answer(completion(EngineReply(json_reply(4), "stop", 10, 5)))
    try:
        model = f"{endpoint.url}#m"
        evaluated = outside("evaluate", str(data), "--model", model, "--out", "measured")
        outside(
            "label", str(data), "--release", "measured/release_document.json", "--force", "a test", "--out", "labels"
        )
    finally:
        endpoint.close()
    assert (evaluated["n"], evaluated["valid"], evaluated["nmse"]) == (5, 5, 0.0)
    (shard,) = (tmp_path / "labels").glob("*.parquet")
    assert pq.read_table(shard).column("rating").to_pylist() == [4] * 5
    where = [installed / "bin" / "python", "-c", "import cluster; print(cluster.__file__)"]
    found = subprocess.run(where, cwd=tmp_path, capture_output=True, text=True, check=True).stdout
    assert Path(found.strip()).is_relative_to(installed)

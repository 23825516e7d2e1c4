"""`bullets ablate`: what is refused before any model starts, and an answer from the ledger alone."""

import json

import pytest
from click.testing import CliRunner

from cluster.commands import app
from cluster.commands.running import EXIT_REFUSED
from cluster.runs.run import open_ledger
from judge_serve.judging import Judge, ModelIdentity, Program, Release
from judge_serve.judging.judge_call import calls_of
from judge_serve.judging.task import Task
from judge_serve.serving.embedded_model import embedded_model_revision
from optimize_workers.dataset.splits import load_dataset
from optimize_workers.evaluation.recorded import Recorded
from optimize_workers.evidence.ablation import without_each
from optimize_workers.library.bullets import Bullet
from tests.builders import SCALE
from tests.fakes import InProcessPool, ScriptedEngine, json_reply

pytestmark = pytest.mark.usefixtures("registry_home")
GOOD, IDLE = "Rate what is written.", "Be kind."
MODEL = ModelIdentity(name="embedded", revision=embedded_model_revision())  # pinned: the ledger may answer


def run(*arguments):
    return CliRunner().invoke(app, ["bullets", "ablate", *map(str, arguments)], catch_exceptions=False)


@pytest.fixture
def data(tmp_path):
    """20 validation examples whose documents name their human rating."""
    path = tmp_path / "rows.jsonl"
    rows = [
        {"query": f"query {n}", "document": f"document {n} of {n % 5 + 1}", "rating": n % 5 + 1, "split": "val"}
        for n in range(20)
    ]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def write_release(folder, *bullets):
    program = Program(sections={"rubric": "Rate the pair."}, bullets=bullets)
    release = Release(judge=Judge(task=Task(), program=program, model=MODEL))
    path = folder / "release.json"
    path.write_text(release.to_json(), encoding="utf-8")
    return path, release


def rate(request):
    """Right where the good bullet is read, a three otherwise."""
    system, item = request.messages[0]["content"], request.messages[-1]["content"]
    return json_reply(int(item.split("of ")[1][0]) if GOOD in system else 3)


def test_a_release_without_bullets_is_refused(tmp_path, data):
    path, _ = write_release(tmp_path)
    done = run(data, "--release", path)
    assert done.exit_code == EXIT_REFUSED
    assert "has no bullets" in done.stderr


def test_an_unknown_split_is_refused(tmp_path, data):
    path, _ = write_release(tmp_path, GOOD)
    done = run(data, "--release", path, "--split", "all")
    assert done.exit_code == EXIT_REFUSED and "--split" in done.stderr


def test_effects_come_from_the_ledger_where_it_holds_the_judgments(tmp_path, data):
    path, release = write_release(tmp_path, GOOD, IDLE)
    examples = load_dataset(str(data), SCALE).by_split["val"]
    programs = [release.judge.program, *without_each(release.judge.program)]
    with open_ledger() as ledger:
        layers = Recorded(InProcessPool(ScriptedEngine(rate)), ledger)
        for program in programs:
            layers.judge(calls_of(release.judge.model_copy(update={"program": program}), examples))
    done = run(data, "--release", path, "--json")
    assert done.exit_code == 0, done.stderr
    result = json.loads(done.stdout)
    assert (result["release"], result["dataset"]["n"], result["nmse"]) == (release.id, 20, 0.0)
    assert (result["calls"], result["cached"]) == (60, 60)
    assert [(b["id"], b["delta_nmse"], b["verdict"]) for b in result["bullets"]] == [
        (Bullet(text=GOOD).id, -12.5, "helps"),
        (Bullet(text=IDLE).id, 0.0, "no effect shown"),
    ]
    assert "no effect shown" in run(data, "--release", path).stdout

"""`--dry-run`: what a command names is read as the run would read it; nobody is asked, nothing is written."""

import json
import os

import pytest
from click.testing import CliRunner

from cluster.commands import app
from cluster.endpoint.config import DEFAULT_JUDGE, EXAMPLES
from cluster.endpoint.models import resolve_model
from cluster.endpoint.state import ServeState, started_at, write_state
from cluster.registry import GateRecord, Registry
from judge_serve.catalogue.served_model import ServedModel
from judge_serve.judging.judge_file import load_judge_file
from judge_serve.judging.judgment import AnswerMode
from judge_serve.judging.release import Release

DATA = str(EXAMPLES / "workplace.jsonl")  # 224 rows of train, 80 of val, 80 of test
PAIRS = str(EXAMPLES / "unlabelled.parquet")
MODEL = "http://127.0.0.1:9/v1#m"  # nothing answers there
BULLETS = ("A page about another product is at best partly useful.", "Old prices are no answer.")


@pytest.fixture
def out(tmp_path):
    return tmp_path / "out"


@pytest.fixture
def release(tmp_path):
    """A release with two bullets, in a file that no registry knows."""
    judge = load_judge_file(DEFAULT_JUDGE).judge(resolve_model(MODEL).identity, AnswerMode.GENERATE, ())
    program = judge.program.model_copy(update={"bullets": BULLETS})
    made = Release(name="relevance", judge=judge.model_copy(update={"program": program}))
    (tmp_path / "release.json").write_text(made.to_json())
    return made


def run(*words):
    return CliRunner().invoke(app, [str(word) for word in words], catch_exceptions=False)


def planned(*words):
    """The plan as JSON."""
    done = run(*words, "--dry-run", "--json")
    assert done.exit_code == 0, done.output
    return json.loads(done.stdout)


def files_of(folder):
    return {path: path.stat().st_mtime_ns for path in folder.rglob("*")}


def test_evaluate_says_which_pairs_of_which_data_it_would_judge(home, out):
    plan = planned("evaluate", DATA, "--model", MODEL, "--split", "val", "--limit", "30", "--out", out)
    assert (plan["config"]["limit"], plan["out"], plan["ledger"]) == (30, str(out), str(home / "ledger.db"))
    assert plan["data"]["rows"] == 384 and plan["data"]["splits"] == {"train": 224, "val": 80, "test": 80}
    assert (plan["data"]["split"], plan["data"]["pairs"], plan["judge_calls"]) == ("val", 30, {"at_most": 30})
    assert plan["judge"]["release"] is None, "what an endpoint is shows when it is asked"
    assert plan["model"] == {"name": "m", "revision": "endpoint", "address": "http://127.0.0.1:9/v1"}
    assert not any(home.iterdir()) and not out.exists()


@pytest.mark.usefixtures("home")
def test_repeats_count(out):
    words = ["evaluate", DATA, "--split", "val", "--limit", "5", "--repeats", "3", "--temperature", "0.7"]
    assert planned(*words, "--model", MODEL, "--out", out)["judge_calls"] == {"at_most": 15}


@pytest.mark.usefixtures("home")
def test_people_get_a_line_for_each_part(out):
    done = run("evaluate", DATA, "--model", MODEL, "--split", "val", "--out", out, "--dry-run")
    assert (done.exit_code, done.stderr) == (0, "")
    shown = {line.split("  ")[0]: line for line in done.stdout.splitlines()}
    assert set(shown) == {"data", "judge", "model", "judge calls", "out", "resume", "ledger"}
    assert shown["judge calls"].endswith("at most 80")


def test_optimize_says_what_search_and_proof_may_cost(home, out):
    words = ["optimize", DATA, "--model", MODEL, "--budget", "150", "--limit", "20", "--calibrate", "--out", out]
    plan = planned(*words, "--optimizer", "gepa", "--reflection-model", "http://127.0.0.1:9/v1#writer")
    calls = plan["judge_calls"]
    assert (calls["search"], calls["proof"]) == (150, 40), "baseline and winner on 20 pairs each"
    assert 0 < calls["calibration"] <= 224
    assert calls["at_most"] == 190 + calls["calibration"]
    assert (plan["reflection_model"]["name"], plan["gate"]) == ("writer", {"changed_limits": {}})
    bullets = planned(*words, "--optimizer", "bullets", "--bullets", EXAMPLES / "bullets.txt")
    assert bullets["judge_calls"]["at_most"] is None and "20 held-out pairs" in bullets["notes"][-1]
    assert not any(home.iterdir()) and not out.exists()


def test_calibrate_counts_train_and_test(home, out):
    plan = planned("calibrate", DATA, "--model", MODEL, "--limit", "40", "--out", out)
    assert plan["judge_calls"] == {"train": 40, "test": 40, "at_most": 80}
    assert not any(home.iterdir()) and not out.exists()


def test_a_release_of_a_file_is_used_and_not_registered(registry_home, tmp_path, release, out):
    before = files_of(registry_home)
    named = ["--release", tmp_path / "release.json", "--model", MODEL]
    assert planned("evaluate", DATA, *named, "--out", out)["judge"]["release"] == release.id
    ablation = planned("bullets", "ablate", DATA, *named, "--limit", "10")
    assert ablation["judge_calls"] == {"at_most": 30}, "with both bullets, and without each"
    gate = planned("gate", DATA, *named, "--limit", "10", "--no-adversarial")
    assert gate["gate"]["against"] == "'relevance' has no champion, and it has no parent"
    assert gate["judge_calls"] == {"winner": 10, "at_most": 10}
    label = planned("label", PAIRS, *named, "--force", "tried out", "--out", out)
    assert label["judge_calls"] == {"at_most": label["input"]["rows"]}
    assert label["gate"] == {"passed": False, "override": "tried out"}
    assert files_of(registry_home) == before
    assert Registry(registry_home).releases() == []


def test_without_a_registry_a_file_still_names_a_release(home, tmp_path, release, out):
    words = ["evaluate", DATA, "--release", tmp_path / "release.json", "--model", MODEL, "--out", out]
    assert planned(*words)["judge"]["release"] == release.id
    assert not any(home.iterdir())


@pytest.mark.usefixtures("home")
@pytest.mark.parametrize("words", [["evaluate", DATA], ["label", PAIRS], ["gate", DATA], ["bullets", "ablate", DATA]])
@pytest.mark.parametrize("reference", ["champion", "ffffffff", "relevance@champion", "gone.json"])
def test_an_unknown_release_is_refused_where_there_is_no_registry(words, reference, out):
    done = run(*words, "--release", reference, *([] if "ablate" in words else ["--out", out]), "--dry-run")
    assert (done.exit_code, done.stdout) == (2, "")
    assert done.stderr.startswith("relevance-judge: ")


REFUSED = {
    "no data": ["evaluate", "gone.jsonl"],
    "no judge": ["evaluate", DATA, "--judge", "gone.toml"],
    "no model": ["evaluate", DATA, "--model", "nosuch"],
    "no pairs": ["evaluate", PAIRS],
    "no bullets": ["optimize", DATA, "--optimizer", "bullets"],
    "small budget": ["optimize", DATA, "--optimizer", "mipro", "--budget", "5"],
    "no price": ["optimize", DATA, "--optimizer", "mipro", "--max-usd", "1", "--model", MODEL],
    "no gate": ["label", PAIRS, "--release", "{file}", "--model", MODEL],
    "no rankings": ["evaluate", DATA, "--rankings", "gone.jsonl", "--model", MODEL],
}


@pytest.mark.usefixtures("registry_home", "release")
@pytest.mark.parametrize("what", REFUSED)
def test_what_the_run_refuses_the_plan_refuses_in_the_same_words(tmp_path, out, what):
    words = [word.replace("{file}", str(tmp_path / "release.json")) for word in REFUSED[what]]
    dry = run(*words, "--out", out, "--dry-run")
    done = run(*words, "--out", out)
    assert dry.exit_code == done.exit_code == (3 if what == "no gate" else 2)
    assert dry.stderr == done.stderr.splitlines()[-1] + "\n"
    assert not out.exists()


def test_serve_says_what_it_would_serve_and_takes_no_place(home):
    plan = planned("serve", "--port", "8123")
    assert (plan["judge"]["mode"], plan["endpoint"]) == ("generate", "http://127.0.0.1:8123")
    assert plan["model"]["served"] == "embedded" and "no gate has seen" in plan["notes"][0]
    assert not any(home.iterdir())


def announce(home, model):
    pid = os.getpid()
    where = {"host": "127.0.0.1", "port": 9, "ray_address": "127.0.0.1:1"}
    write_state(home, ServeState(pid=pid, started_at=started_at(pid), models=(model,), **where))


def test_deploy_says_which_release_goes_where(registry_home):
    choice = resolve_model("embedded")
    judge = load_judge_file(DEFAULT_JUDGE).judge(choice.identity, AnswerMode.GENERATE, choice.control_tokens)
    registered = Registry(registry_home).register(Release(name="relevance", judge=judge), GateRecord(passed=True))
    assert "no endpoint runs" in run("deploy", registered.release.id, "--dry-run").stderr
    announce(registry_home, ServedModel(name="other", source="x", gpus=0))
    assert "the endpoint serves 'other'" in run("deploy", registered.release.id, "--dry-run").stderr
    announce(registry_home, choice.served)
    plan = planned("deploy", registered.release.id)
    assert (plan["release"]["id"], plan["endpoint"]) == (registered.release.id, "http://127.0.0.1:9")
    assert plan["gate"] == {"passed": True, "override": None}
    assert Registry(registry_home).champion_of("relevance") is None


@pytest.mark.parametrize("words", [["demo", "--quick"], ["status"], ["ledger", "prune", "--older-than", "90d"]])
def test_a_command_that_names_nothing_shows_its_config(home, words):
    config = planned(*words)["config"]
    assert json.loads(run(*words, "--dry-run").stdout).keys() == config.keys()
    assert not any(home.iterdir())

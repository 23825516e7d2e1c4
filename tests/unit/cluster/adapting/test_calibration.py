"""Calibrating: fitted on train, proven on test, and the same numbers wherever a calibrated release judges."""

import json

import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner

from cluster.adapting.calibration import calibrate_on_train, training_examples
from cluster.commands import app
from cluster.commands.running import EXIT_REFUSED
from cluster.endpoint.meeting import Met
from cluster.labeling.bulk import label_rows
from cluster.measuring.measure import Measurer
from cluster.progress import Progress
from cluster.registry.store import Registry
from cluster.runs.run import open_ledger
from judge_serve.judging import (
    Affine,
    AnswerMode,
    Demonstration,
    EngineReply,
    Judge,
    ModelIdentity,
    Program,
    Release,
)
from judge_serve.judging.judge_call import calls_of
from judge_serve.serving.embedded_model import embedded_model_revision
from optimize_workers.dataset.splits import load_dataset
from optimize_workers.evaluation.recorded import Lookup, Recorded
from tests.builders import SCALE, make_calibration
from tests.fakes import InProcessPool, MemoryStore, ScriptedEngine, json_reply
from tests.unit.judge_serve.serving.desk import Desk, completion

pytestmark = pytest.mark.usefixtures("registry_home")
MODEL = ModelIdentity(name="embedded", revision=embedded_model_revision())  # pinned: the ledger may answer
MET = Met(MODEL, Lookup())
PROGRAM = Program(sections={"rubric": "Rate the pair."})
EXPECTED = Judge(program=PROGRAM, model=MODEL, mode=AnswerMode.EXPECTED)
PROBABILITIES = {1: (-0.5, -1.0), 2: (-0.6, -1.0), 3: (-0.7, -1.0), 4: (-0.8, -1.0), 5: (-1.0, -1.0)}


@pytest.fixture
def data(tmp_path):
    """300 examples whose documents name their human rating, five to a query."""
    path = tmp_path / "rows.jsonl"
    splits = ["train"] * 200 + ["val"] * 50 + ["test"] * 50
    rows = [
        {
            "query": f"query {n // 5}",
            "document": f"document {n} rating {n % 5 + 1}",
            "rating": n % 5 + 1,
            "split": split,
        }
        for n, split in enumerate(splits)
    ]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def alternatives_of(text):
    """A timid judge: between 2 and 3 for all, a little higher for what people rate higher."""
    low, high = PROBABILITIES[int(text.split("rating ")[1][0])]
    return (("2", low), ("3", high))


def timid(request):
    user = request.messages[-1]["content"]
    return EngineReply("2", "length", 10, 1, first_token_logprobs=alternatives_of(user))


def write_release(folder, judge=EXPECTED):
    path = folder / "in.json"
    path.write_text(Release(judge=judge).to_json(), encoding="utf-8")
    return path


def record(data, judge=EXPECTED, script=timid, splits=("train", "test")):
    dataset = load_dataset(str(data), SCALE)
    engine = ScriptedEngine(script)
    with open_ledger() as ledger:
        layers = Recorded(InProcessPool(engine), ledger)
        layers.judge(calls_of(judge, [example for split in splits for example in dataset.by_split[split]]))
    return engine


def run(*arguments):
    return CliRunner().invoke(app, ["calibrate", *map(str, arguments)], catch_exceptions=False)


# --- the command ---


def test_a_timid_judge_gains_skill_on_the_test_split(tmp_path, data, registry_home):
    record(data)
    given, out = write_release(tmp_path), tmp_path / "out"
    done = run(data, "--release", given, "--out", out, "--json")
    assert done.exit_code == 0, done.stderr
    result = json.loads(done.stdout)
    assert result == json.loads((out / "result.json").read_text())
    assert result["baseline"]["skill"] < 0 < 0.9 < result["winner"]["skill"]
    assert result["comparison"]["ci95"][1] < 0
    assert (result["gate"]["passed"], result["test_openings"]) == (True, 1)
    rules = {rule["name"]: rule for rule in result["gate"]["rules"]}
    assert rules["guardrails"]["status"] == "not_checked"  # nobody asked them
    assert (result["calls"], result["cached"]) == (250, 250)
    shown = result["calibration"]
    assert shown["kind"] == shown["curve"]["kind"]
    assert set(shown["cv_nmse"]) == {"none", "affine", "isotonic"}
    assert (shown["train"]["n"], shown["train"]["queries"]) == (200, 40)
    assert shown["before"]["nmse"] == result["baseline"]["nmse"]
    assert shown["after"]["nmse"] == result["winner"]["nmse"]
    assert sum(one["n"] for one in shown["after"]["reliability"]) == 50
    assert shown["after"]["calibration_error"] < shown["before"]["calibration_error"]
    release = Release.from_file(out / "release.json")
    assert (release.id, release.parents) == (result["release"], (Release.from_file(given).digest,))
    assert release.evidence["calibration"]["cv_nmse"] == shown["cv_nmse"]
    assert Registry(registry_home).resolve(release.id).gate_passed
    table = run(data, "--release", given, "--out", tmp_path / "two").stdout
    assert f"calibration {shown['kind']}; NMSE on train by cross-validation: none " in table


def test_what_is_in_the_run_folder_gives_the_figures_again(tmp_path, data):
    record(data)
    run(data, "--release", write_release(tmp_path), "--out", tmp_path / "out")
    result = json.loads((tmp_path / "out" / "result.json").read_text())
    rows = pq.read_table(tmp_path / "out" / "judgments.parquet").to_pylist()
    for arm in ("baseline", "winner"):
        losses = [(row["expected_rating"] - row["gold_rating"]) ** 2 for row in rows if row["arm"] == arm]
        assert 100 * sum(losses) / len(losses) / 16 == pytest.approx(result[arm]["nmse"])
    assert {(row["arm"], row["split"]) for row in rows} == {
        ("baseline", "test"),
        ("winner", "test"),
        ("calibration", "train"),
    }
    assert {row["raw_reply"] for row in rows} == {"2"}


def test_the_ledger_keeps_what_the_model_said(tmp_path, data):
    record(data)
    run(data, "--release", write_release(tmp_path), "--out", tmp_path / "out")
    release = Release.from_file(tmp_path / "out" / "release.json")
    [example, *_] = load_dataset(str(data), SCALE).by_split["test"]
    with open_ledger() as ledger:
        [kept] = Recorded(None, ledger).judge(calls_of(release.judge, [example]))
    assert 2.0 < kept.expected_rating < 2.6


def test_a_calibrated_release_is_calibrated_anew_from_what_its_judge_said(tmp_path, data):
    record(data)
    first, second = tmp_path / "one", tmp_path / "two"
    run(data, "--release", write_release(tmp_path), "--out", first)
    done = run(data, "--release", first / "release.json", "--method", "affine", "--out", second, "--json")
    once, again = Release.from_file(first / "release.json"), Release.from_file(second / "release.json")
    assert json.loads(done.stdout)["baseline"]["skill"] < 0
    assert again.calibration.curve.kind == "affine"
    assert again.parents != once.parents


def test_a_judge_that_needs_none_gets_none(tmp_path, data):
    exact = Judge(program=PROGRAM, model=MODEL)
    record(data, exact, lambda request: json_reply(int(request.messages[-1]["content"].split("rating ")[1][0])))
    done = run(data, "--release", write_release(tmp_path, exact), "--out", tmp_path / "out", "--json")
    result = json.loads(done.stdout)
    assert (result["calibration"]["kind"], result["winner"]["nmse"]) == ("none", 0.0)
    assert "no curve was better than the judge as it is" in result["calibration"]["reason"]
    assert Release.from_file(tmp_path / "out" / "release.json").calibration is None
    assert (
        "calibration none (no curve was better"
        in run(data, "--release", tmp_path / "in.json", "--out", tmp_path / "two").stdout
    )


def test_a_few_examples_are_not_fitted(tmp_path, data):
    record(data)
    done = run(data, "--release", write_release(tmp_path), "--limit", "12", "--out", tmp_path / "out", "--json")
    result = json.loads(done.stdout)
    assert "12 of 12 training judgments are readable, at least 20 are needed" in result["calibration"]["reason"]
    assert result["gate"]["passed"] is False


def test_a_judge_of_nothing_but_malformed_replies_is_not_fitted(tmp_path, data):
    silent = Judge(program=PROGRAM, model=MODEL)
    record(data, silent, lambda request: "hm")
    done = run(data, "--release", write_release(tmp_path, silent), "--out", tmp_path / "out", "--json")
    result = json.loads(done.stdout)
    assert "0 of 200 training judgments are readable" in result["calibration"]["reason"]
    assert (result["calibration"]["after"]["reliability"], result["calibration"]["after"]["calibration_error"]) == (
        [],
        None,
    )


@pytest.mark.parametrize("missing", ["train", "test"])
def test_data_without_train_or_test_is_refused(tmp_path, data, missing):
    rows = [line for line in data.read_text().splitlines() if json.loads(line)["split"] != missing]
    data.write_text("\n".join(rows))
    done = run(data, "--release", write_release(tmp_path), "--out", tmp_path / "out")
    assert done.exit_code == EXIT_REFUSED
    assert f"split '{missing}' is empty" in done.stderr


def test_an_unknown_method_is_refused(tmp_path, data):
    assert run(data, "--method", "spline", "--out", tmp_path / "out").exit_code == EXIT_REFUSED


# --- what it is fitted on ---


def test_examples_that_the_judge_shows_are_not_fitted_on(data):
    dataset = load_dataset(str(data), SCALE)
    shown = dataset.by_split["train"][7].item
    demonstration = Demonstration(query=shown.query, document=shown.document, rating=3, explanation="so")
    judge = EXPECTED.model_copy(update={"program": Program(sections={"r": "x"}, demonstrations=(demonstration,))})
    fitted_on = training_examples(judge, dataset)
    assert {e.split for e in fitted_on} == {"train"}
    assert shown.doc_id not in {e.item.doc_id for e in fitted_on}
    assert len(fitted_on) < len(training_examples(EXPECTED, dataset)) == 200


def test_fitting_asks_for_train_only_and_nothing_twice(data):
    dataset, engine, store = load_dataset(str(data), SCALE), ScriptedEngine(timid), MemoryStore()
    examples = training_examples(EXPECTED, dataset, limit=60)
    with Progress() as progress:
        for _ in range(2):
            measurer = Measurer(InProcessPool(engine), store, progress, MET)
            made = calibrate_on_train(EXPECTED, dataset, examples, measurer)
    assert engine.calls == 60
    assert (made.counts.calls, made.counts.cached) == (60, 60)


# --- the same numbers everywhere ---


def test_measuring_serving_and_labeling_give_the_same_calibrated_numbers(tmp_path, data):
    calibration = make_calibration(Affine(slope=3.0, intercept=-4.0), EXPECTED)
    release = Release(judge=EXPECTED, calibration=calibration)
    examples = load_dataset(str(data), SCALE).by_split["test"][:5]
    pool = InProcessPool(ScriptedEngine(timid))
    with Progress() as progress:
        measured = Measurer(pool, MemoryStore(), progress, MET).measure(release, examples, "test").judgments
        out = label_rows([(e.item, {"query": e.item.query}) for e in examples], release, pool, tmp_path, progress)
    labels = pq.read_table(out["shards"][0]).to_pylist()

    def answer(body):
        found = alternatives_of(body["messages"][-1]["content"])
        return completion("2", logprobs={"content": [{"top_logprobs": [{"token": t, "logprob": p} for t, p in found]}]})

    desk = Desk(answer, MODEL.name).deploy(release)
    pairs = [{"query": e.item.query, "document": e.item.document} for e in examples]
    served = [desk.call("POST", "/v1/judge", json=pair).json() for pair in pairs]
    batch = desk.call("POST", "/v1/judge/batch", json={"items": pairs}).json()["items"]
    expected = [(judgment.rating, judgment.expected_rating) for judgment in measured]
    assert [(row["rating"], row["expected_rating"]) for row in labels] == expected
    assert [(row["rating"], row["expected_rating"]) for row in served] == expected
    assert [(row["rating"], row["expected_rating"]) for row in batch] == expected
    assert expected[0][1] == pytest.approx(3.0 * 2.3775406687981454 - 4.0)
    assert {rating for rating, _ in expected} == {3, 4}

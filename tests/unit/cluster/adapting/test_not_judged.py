"""Commands over data of which some items are never judged: they go on, count them apart, and fail past a number."""

import json
from contextlib import contextmanager

import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner

from cluster.adapting.adaptation import Adaptation
from cluster.adapting.config import OptimizeConfig
from cluster.adapting.finish import finish_adaptation
from cluster.adapting.optimize import adapt_judge
from cluster.commands import app
from cluster.endpoint.meeting import Met
from cluster.labeling.bulk import label_rows
from cluster.measuring.measure import Measurer
from cluster.progress import Progress
from cluster.registry.store import Registry
from cluster.runs.folder import RunFolder
from cluster.runs.forgetting import forget_document
from cluster.runs.recorded import read_run
from cluster.runs.run import Run, open_ledger
from judge_serve.judging import Item, Judge, ModelIdentity, Program, Release, Task
from judge_serve.judging.errors import TooManyNotJudgedError
from judge_serve.serving.embedded_model import embedded_model_revision
from optimize_workers.dataset.splits import load_dataset
from optimize_workers.evaluation.recorded import Lookup
from optimize_workers.library.bullets import Bullet
from tests.builders import SCALE
from tests.fakes import InProcessPool, ScriptedEngine, json_reply

pytestmark = pytest.mark.usefixtures("registry_home")
MODEL = ModelIdentity(name="embedded", revision=embedded_model_revision())  # pinned: no endpoint has to say what it is
MET = Met(MODEL, Lookup())
HELPS = "Look at the worth."
CAUSE = "endpoint x answered 500 (while others were answered)"


def rate(request):
    """As people do where a bullet says how; else often one off."""
    human = int(request.messages[-1]["content"].partition("Its worth is ")[2][:1])
    is_off = HELPS not in request.messages[0]["content"]
    return json_reply(human % 5 + 1 if is_off else human)


class FakeSession:
    """What a command needs of a session; `poisoned` are the ids of documents that are never judged."""

    reflection_model = MODEL
    reflection_max_tokens = 100
    can_propose = False

    def __init__(self):
        self.choice = self.reflection = None  # met all the same, see `session`
        self.poisoned = set()
        self.pool = InProcessPool(ScriptedEngine(rate), lambda call: call.item.doc_id in self.poisoned)

    def found(self):
        return {}

    def complete_reflection(self, request):
        raise AssertionError("nothing is reflected on")


@pytest.fixture
def session(monkeypatch):
    found = FakeSession()

    @contextmanager
    def opened(*_arguments, **_options):
        yield found

    monkeypatch.setattr("cluster.measuring.measure.open_session", opened)
    monkeypatch.setattr("cluster.measuring.measure.meet", lambda choice, *_, **_options: MET)
    return found


@pytest.fixture
def data(tmp_path):
    """40 test examples of 20 queries, 30 of train and 20 of val."""
    path = tmp_path / "rows.jsonl"
    rows = [
        {
            "query": f"query {split} {n // 2}",
            "document": f"A mark {n}x {split}. Its worth is {n % 5 + 1}",
            "rating": n % 5 + 1,
            "split": split,
            "doc_id": f"{split}-{n}",
            "query_id": f"{split}-q{n // 2}",
        }
        for split, count in (("train", 30), ("val", 20), ("test", 40))
        for n in range(count)
    ]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


@pytest.fixture
def release(tmp_path):
    program = Program(sections={"rubric": "Rate it."}, bullets=(HELPS,))
    path = tmp_path / "in.json"
    path.write_text(Release(judge=Judge(task=Task(), program=program, model=MODEL)).to_json(), encoding="utf-8")
    return path


def run(*arguments):
    return CliRunner().invoke(app, [*map(str, arguments)], catch_exceptions=False)


def result_of(*arguments):
    done = run(*arguments, "--json")
    assert done.exit_code in (0, 3), done.stderr
    return json.loads(done.stdout)


def test_evaluate_goes_on_counts_apart_and_keeps_a_row(session, data, release, tmp_path):
    session.poisoned = {"test-3", "test-7"}
    out = tmp_path / "run"
    result = result_of("evaluate", data, "--release", release, "--out", out)
    assert (result["n"], result["valid"], result["invalid"], result["not_judged"]) == (38, 38, 0, 2)
    assert (result["nmse"], result["validity"]) == (0.0, 1.0)
    assert (result["calls"], result["prompt_tokens"]) == (40, 380)
    assert result["not_judged_items"] == [
        {"query_id": "test-q1", "doc_id": "test-3", "cause": CAUSE},
        {"query_id": "test-q3", "doc_id": "test-7", "cause": CAUSE},
    ]
    rows = {row["doc_id"]: row for row in pq.read_table(out / "judgments.parquet").to_pylist()}
    assert len(rows) == 40
    assert (rows["test-3"]["not_judged"], rows["test-3"]["rating"], rows["test-3"]["invalid_reason"]) == (
        *(CAUSE, None, None),
    )
    assert rows["test-4"]["not_judged"] is None
    page = (out / "report.html").read_text(encoding="utf-8")
    assert "Items that were not judged" in page
    assert "test-7" in page
    assert len(read_run(out, splits=("test",)).examples) == 38


def test_the_next_run_asks_again_and_only_what_is_missing(session, data, release, tmp_path):
    session.poisoned = {"test-3"}
    result_of("evaluate", data, "--release", release, "--out", tmp_path / "first")
    session.poisoned = set()
    result = result_of("evaluate", data, "--release", release, "--out", tmp_path / "second")
    assert session.pool.waves == [40, 1]
    assert (result["n"], result["not_judged"], result["cached"]) == (40, 0, 39)


def test_past_the_limit_it_fails_with_names_and_a_resumed_run_completes(session, data, release, tmp_path):
    session.poisoned = {f"test-{n}" for n in range(4)}
    command = ["evaluate", data, "--release", release, "--out", tmp_path / "run"]
    failed = run(*command)
    assert failed.exit_code == 1
    assert "4 of 40 items were not judged, at most 3 may be" in failed.stderr
    assert all(f"doc_id 'test-{n}'" in failed.stderr for n in range(4))
    assert not (tmp_path / "run" / "result.json").exists()
    again = run(*command, "--resume", "--max-not-judged", "3")
    assert again.exit_code == 1
    assert session.pool.waves == [40, 4]
    result = result_of(*command, "--resume", "--max-not-judged", "4")
    assert (result["n"], result["not_judged"], result["cached"]) == (36, 4, 36)


def test_nothing_judged_at_all_is_no_result(session, data, release, tmp_path):
    session.poisoned = {f"test-{n}" for n in range(40)}
    failed = run("evaluate", data, "--release", release, "--out", tmp_path / "run", "--max-not-judged", "40")
    assert failed.exit_code == 1
    assert "none of 40 examples was judged" in failed.stderr


def test_tables_and_progress_say_it(session, data, release, tmp_path):
    session.poisoned = {"test-3"}
    shown = run("evaluate", data, "--release", release, "--out", tmp_path / "run")
    assert f"not judged judge: 1, part of no figure; first: query_id 'test-q1', doc_id 'test-3': {CAUSE}" in (
        shown.stdout
    )
    assert "(39 valid / 0 invalid / 1 not judged;" in shown.stderr


def test_the_gate_holds_both_on_what_both_judged_and_counts_the_rest_as_invalid(session, data, release, tmp_path):
    other = tmp_path / "other.json"
    judge = Judge(task=Task(), program=Program(sections={"rubric": "Rate it."}), model=MODEL)
    other.write_text(Release(judge=judge).to_json(), encoding="utf-8")
    session.poisoned = {"test-0", "test-1"}
    command = ["gate", data, "--release", release, "--against", other, "--no-adversarial"]
    result = result_of(*command, "--out", tmp_path / "run")
    rules = {rule["name"]: rule for rule in result["gate"]["rules"]}
    assert rules["validity"]["found"] == pytest.approx(38 / 40)
    assert (result["winner"]["not_judged"], result["baseline"]["not_judged"]) == (2, 2)
    assert result["comparison"]["delta_nmse"] == pytest.approx(-result["baseline"]["nmse"])


def test_calibrating_leaves_out_what_was_not_judged_on_either_split(session, data, release, tmp_path):
    session.poisoned = {"train-2", "test-5"}
    result = result_of("calibrate", data, "--release", release, "--out", tmp_path / "run")
    assert (result["baseline"]["not_judged"], result["winner"]["not_judged"]) == (1, 1)
    assert result["calibration"]["train"]["n"] == 29
    assert sum(row["not_judged"] is not None for row in _rows(tmp_path / "run")) == 3


def _rows(out):
    return pq.read_table(out / "judgments.parquet").to_pylist()


@pytest.mark.parametrize("poisoned", [{"test-4"}, {"test-4", "train-3", "val-2"}])
def test_a_poisoned_row_takes_no_winner_away(session, data, registry_home, tmp_path, poisoned):
    session.poisoned = poisoned
    dataset = load_dataset(str(data), SCALE)
    config = OptimizeConfig(data=str(data), optimizer="bullets", out=tmp_path / "run", budget=2_000)
    judge = Judge(program=Program(sections={"rubric": "Rate it."}), model=MODEL)
    folder = RunFolder.create(config.out, {})
    with open_ledger() as ledger, Progress() as progress:
        measurer = Measurer(session.pool, ledger, progress, MET, max_not_judged=config.max_not_judged)
        recorded = Run("optimize", folder, ledger, progress)
        adaptation = Adaptation(judge, dataset, session, recorded, config, measurer, MODEL)
        adapted = adapt_judge(adaptation, [Bullet(text=HELPS), Bullet(text="Stay calm.")])
        result = finish_adaptation(adaptation, adapted, Registry(registry_home))
    assert Release.from_file(folder.path / "release.json").judge.program.bullets == (HELPS,)
    assert (result["baseline"]["not_judged"], result["winner"]["not_judged"]) == (1, 1)
    assert (result["winner"]["n"], result["winner"]["nmse"]) == (39, 0.0)


def test_a_search_fails_past_the_limit(session, data, tmp_path):
    session.poisoned = {"train-1", "train-2", "val-1", "val-2"}
    dataset = load_dataset(str(data), SCALE)
    config = OptimizeConfig(data=str(data), optimizer="bullets", out=tmp_path / "run", budget=2_000)
    judge = Judge(program=Program(sections={"rubric": "Rate it."}), model=MODEL)
    folder = RunFolder.create(config.out, {})
    with open_ledger() as ledger, Progress() as progress:
        measurer = Measurer(session.pool, ledger, progress, MET, max_not_judged=config.max_not_judged)
        recorded = Run("optimize", folder, ledger, progress)
        adaptation = Adaptation(judge, dataset, session, recorded, config, measurer, MODEL)
        with pytest.raises(TooManyNotJudgedError, match="4 of 50 items were not judged, at most 3 may be"):
            adapt_judge(adaptation, [Bullet(text=HELPS), Bullet(text="Stay calm.")])


def test_labeling_writes_a_row_with_its_cause_and_goes_on(session, release, tmp_path):
    rows = [(Item("q", f"A mark. Its worth is {n % 5 + 1}", "q", f"d{n}"), {}) for n in range(10)]
    session.poisoned = {"d4"}
    (tmp_path / "out").mkdir()
    result = label_rows(rows, Release.from_file(release), session.pool, tmp_path / "out", Progress())
    assert (result["rows"], result["invalid"], result["not_judged"]) == (10, 0, 1)
    assert result["not_judged_items"] == [{"query_id": "q", "doc_id": "d4", "cause": CAUSE}]
    written = pq.read_table(result["shards"][0]).to_pylist()
    assert [(row["doc_id"], row["rating"], row["not_judged"]) for row in written][4:6] == [
        ("d4", None, CAUSE),
        ("d5", 1, None),
    ]
    session.poisoned = {"d1", "d2"}
    with pytest.raises(TooManyNotJudgedError, match="2 of 10 items were not judged, at most 1 may be"):
        label_rows(rows, Release.from_file(release), session.pool, tmp_path / "out", Progress(), 1)


def test_forgetting_empties_what_an_endpoint_may_have_quoted(session, data, release, tmp_path, registry_home):
    session.poisoned = {"test-3"}
    out = tmp_path / "run"
    result_of("evaluate", data, "--release", release, "--out", out)
    with open_ledger() as ledger:
        forget_document("test-3", ledger, registry_home)
    (row,) = [row for row in _rows(out) if row["doc_id"] == "test-3"]
    assert row["not_judged"] == "its document was forgotten"

"""Forgetting a document: its texts leave the ledger and the tables of runs; what else holds them is named."""

import hashlib
import json
from dataclasses import replace
from datetime import UTC, datetime

import markupsafe
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from cluster.runs.folder import RunFolder
from cluster.runs.forgetting import OPENING_CHARS, forget_document
from judge_serve.judging import RefusedInputError
from optimize_workers.ledger import Ledger
from optimize_workers.library.reviews import EventKind, ReviewEvent
from optimize_workers.reflection import Reflection
from tests.builders import make_example, make_judgment

SECRET = 'Leocadia\'s "salary" <b>is</b>\n72k & rising, für immer'
KEY = hashlib.sha256(b"one").digest()


@pytest.fixture
def ledger(home):
    opened = Ledger(f"sqlite:///{home / 'ledger.db'}")
    yield opened
    opened.close()


def judged(number, document):
    """An example of a numbered document and its judgment."""
    example = make_example(number=number, document=document, reason=f"reason {number}")
    item = example.item
    judgment = replace(make_judgment(raw_reply=f"reply {number}"), query_id=item.query_id, doc_id=item.doc_id)
    return example, judgment


@pytest.fixture
def folder(tmp_path, ledger):
    """A finished run over two documents, train-d0 (with the secret) and train-d1."""
    run = RunFolder.create(tmp_path / "run", {"data": "x"})
    pairs = [judged(0, f" {SECRET} "), judged(1, "harmless")]
    run.write_judgments([("judge", "release", [j for _, j in pairs], [e for e, _ in pairs])])
    ledger.record_run(str(run.path), "evaluate")
    return run.path


def rows(path):
    return {row["doc_id"]: row for row in pq.read_table(path).to_pylist()}


def test_texts_leave_the_tables_of_a_run_and_all_else_stays(folder, ledger, home):
    before = {name: rows(folder / name) for name in ("judgments.parquet", "examples.parquet")}
    schemas = {name: pq.read_schema(folder / name) for name in before}
    told = forget_document("train-d0", ledger, home)
    assert sorted(told["files_rewritten"]) == [str(folder / "examples.parquet"), str(folder / "judgments.parquet")]
    for name, old in before.items():
        new = rows(folder / name)
        assert new["train-d1"] == old["train-d1"]
        emptied = {"judgments.parquet": {"raw_reply": "", "explanation": ""}}
        emptied["examples.parquet"] = {"document": "", "explanations": []}
        assert new["train-d0"] == {**old["train-d0"], **emptied[name]}
        assert pq.read_schema(folder / name) == schemas[name]
    assert {path.name for path in folder.iterdir()} == {"config.json", *before}  # no scratch file is left


def test_an_explanation_that_was_not_given_stays_absent(tmp_path, ledger, home):
    run = RunFolder.create(tmp_path / "run", {})
    example, _ = judged(0, "d")
    invalid = replace(make_judgment(None), doc_id=example.item.doc_id)
    run.write_judgments([("judge", "release", [invalid], [example])])
    ledger.record_run(str(run.path), "evaluate")
    forget_document("train-d0", ledger, home)
    assert rows(run.path / "judgments.parquet")["train-d0"]["explanation"] is None


def test_texts_leave_the_shards_of_labels(tmp_path, ledger, home):
    out = tmp_path / "labels"
    out.mkdir()
    label = {"query": "q", "document": SECRET, "input_explanation": "human", "explanation": "model", "rating": 3}
    for number, doc_ids in enumerate((["d0", "d1"], ["d1", "d2"])):
        table = pa.Table.from_pylist([{"doc_id": doc_id, **label} for doc_id in doc_ids])
        pq.write_table(table, out / f"labels-{number:05d}.parquet")
    ledger.record_run(str(out), "label")
    told = forget_document("d0", ledger, home)
    assert told["files_rewritten"] == [str(out / "labels-00000.parquet")]
    found = rows(out / "labels-00000.parquet")
    assert found["d0"] == {**label, "doc_id": "d0", "document": "", "input_explanation": "", "explanation": ""}
    assert found["d1"] == {**label, "doc_id": "d1"}


def test_shards_without_documents_are_emptied_too(tmp_path, ledger, home):
    pq.write_table(
        pa.table({"doc_id": ["d0"], "explanation": ["e"], "document": [7]}), tmp_path / "labels-00000.parquet"
    )
    ledger.record_run(str(tmp_path), "label")
    forget_document("d0", ledger, home)
    assert rows(tmp_path / "labels-00000.parquet") == {"d0": {"doc_id": "d0", "explanation": "", "document": 7}}


def test_the_ledger_forgets_as_well(ledger, home):
    ledger.add([(KEY, replace(make_judgment(), doc_id="d0"))], revision="r")
    ledger.add_reflection(KEY, Reflection("t", 1, 1), model="m", revision="r", doc_ids=["d0"])
    event = ReviewEvent("run", "q", "d0", "train", EventKind.EXPLAINED, {"text": SECRET}, "ada", datetime.now(UTC))
    ledger.add_review_events([event])
    told = forget_document("d0", ledger, home)
    counts = {"judgments": 1, "reflections": 1, "review_events": 1}
    assert told == {"doc_id": "d0", **counts, "files_rewritten": [], "still_hold": []}
    assert [event.text for event in ledger.review_events()] == [""]
    assert ledger.find([KEY])[KEY].raw_reply == ""
    assert ledger.find_reflection(KEY) is None


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("report.html", f"<td>{markupsafe.escape(SECRET)}</td>"),
        ("report.html", str(markupsafe.escape(json.dumps({"document": SECRET}, ensure_ascii=False)))),
        ("candidates.jsonl", json.dumps({"bullet": f"like {SECRET}"})),
        ("release.json", json.dumps({"demonstrations": [{"document": SECRET}]}, ensure_ascii=False)),
        ("release_document.json", json.dumps(SECRET)),
        ("notes.txt", SECRET),
    ],
)
def test_another_file_that_still_holds_the_document_is_named(folder, ledger, home, name, content):
    (folder / name).write_text(content, encoding="utf-8")
    (folder / "harmless.txt").write_text("harmless")
    assert forget_document("train-d0", ledger, home)["still_hold"] == [str(folder / name)]
    assert (folder / name).read_text(encoding="utf-8") == content


def test_copies_that_the_registry_keeps_are_named(folder, ledger, home):
    copies = [home / "mlartifacts" / "1" / "release.json", home / "mlflow.db"]
    copies[0].parent.mkdir(parents=True)
    for copy in copies:
        copy.write_text(json.dumps(SECRET))
    assert forget_document("train-d0", ledger, home)["still_hold"] == [str(copy) for copy in copies]


def test_a_shortened_copy_of_a_long_document_is_named(tmp_path, ledger, home):
    long = "word " * 1_000
    run = RunFolder.create(tmp_path / "run", {})
    example, judgment = judged(0, long)
    run.write_judgments([("judge", "release", [judgment], [example])])
    run.write_text("report.html", long[: OPENING_CHARS + 50] + " [...]")
    ledger.record_run(str(run.path), "evaluate")
    assert forget_document("train-d0", ledger, home)["still_hold"] == [str(run.path / "report.html")]


def test_a_table_that_cannot_be_read_is_named_and_the_rest_is_done(folder, ledger, home):
    (folder / "labels-00000.parquet").write_text("broken")
    told = forget_document("train-d0", ledger, home)
    assert told["still_hold"] == [str(folder / "labels-00000.parquet")]
    assert len(told["files_rewritten"]) == 2


def test_forgetting_again_rewrites_nothing(folder, ledger, home):
    ledger.add([(KEY, replace(make_judgment(), doc_id="train-d0"))], revision="r")
    forget_document("train-d0", ledger, home)
    again = forget_document("train-d0", ledger, home)
    assert (again["judgments"], again["files_rewritten"], again["still_hold"]) == (1, [], [])


def test_folders_that_are_gone_are_passed_over(folder, ledger, home, tmp_path):
    ledger.record_run(str(tmp_path / "gone"), "evaluate")
    assert len(forget_document("train-d0", ledger, home)["files_rewritten"]) == 2


@pytest.mark.usefixtures("folder")
def test_a_document_that_nothing_knows_is_refused(ledger, home):
    with pytest.raises(RefusedInputError, match="document 'nosuch' is neither in the ledger nor in a folder of its"):
        forget_document("nosuch", ledger, home)


def test_a_run_without_examples_is_no_problem(tmp_path, ledger, home, folder):
    pq.write_table(pa.table({}), tmp_path / "examples.parquet")
    ledger.record_run(str(tmp_path), "evaluate")
    assert len(forget_document("train-d0", ledger, home)["files_rewritten"]) == 2

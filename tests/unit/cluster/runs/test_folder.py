"""A run's folder: whole files, a schema that others recompute figures from, and no finished run overwritten."""

import json

import pyarrow.parquet as pq
import pytest

from cluster.runs.folder import JUDGMENT_SCHEMA, RunFolder
from judge_serve.judging import RefusedInputError
from tests.builders import make_example, make_judgment


def test_a_new_folder_holds_the_resolved_config(tmp_path):
    folder = RunFolder.create(tmp_path / "a" / "b", {"budget": 3})
    assert json.loads((folder.path / "config.json").read_text()) == {"budget": 3}


def test_a_finished_run_is_not_overwritten(tmp_path):
    (tmp_path / "result.json").write_text("{}")
    with pytest.raises(RefusedInputError, match="holds a finished run; choose another --out or remove it"):
        RunFolder.create(tmp_path, {})
    assert not (tmp_path / "config.json").exists()


def test_an_unfinished_run_may_be_started_again(tmp_path):
    RunFolder.create(tmp_path, {"budget": 1})
    RunFolder.create(tmp_path, {"budget": 2})
    assert json.loads((tmp_path / "config.json").read_text()) == {"budget": 2}


def test_a_file_in_the_way_is_refused(tmp_path):
    (tmp_path / "file").touch()
    for path in (tmp_path / "file", tmp_path / "file" / "run"):
        with pytest.raises(RefusedInputError, match="cannot be written"):
            RunFolder.create(path, {})


def test_a_file_appears_whole_and_leaves_no_scratch(tmp_path):
    folder = RunFolder.create(tmp_path, {})
    folder.write_json("result.json", {"text": "\u00e9"})
    assert json.loads((tmp_path / "result.json").read_text(encoding="utf-8")) == {"text": "\u00e9"}
    assert [path.name for path in tmp_path.iterdir() if path.name.endswith(".tmp")] == []


def test_a_file_that_cannot_be_written_whole_is_not_written(tmp_path):
    folder = RunFolder.create(tmp_path, {})
    with pytest.raises(ValueError, match="not JSON compliant"):
        folder.write_json("result.json", {"nmse": float("nan")})
    assert not (tmp_path / "result.json").exists()


def test_lines_are_appended(tmp_path):
    folder = RunFolder.create(tmp_path, {})
    for number in range(2):
        folder.append_line("candidates.jsonl", {"trial": number})
    lines = (tmp_path / "candidates.jsonl").read_text().splitlines()
    assert [json.loads(line)["trial"] for line in lines] == [0, 1]


@pytest.fixture
def tables(tmp_path):
    folder = RunFolder.create(tmp_path, {})
    examples = [make_example(2.5, split="test"), make_example(4, number=1, split="test")]
    folder.write_judgments(
        [
            ("baseline", "r1", [make_judgment(None), make_judgment(4)], examples),
            ("winner", "r2", [make_judgment(3, expected=2.6), make_judgment(4)], examples),
        ]
    )
    return pq.read_table(tmp_path / "judgments.parquet"), pq.read_table(tmp_path / "examples.parquet")


def test_there_is_one_row_per_judgment(tables):
    rows = tables[0].to_pylist()
    assert tables[0].schema.equals(JUDGMENT_SCHEMA)
    assert [(r["arm"], r["release"], r["rating"]) for r in rows] == [
        ("baseline", "r1", None),
        ("baseline", "r1", 4),
        ("winner", "r2", 3),
        ("winner", "r2", 4),
    ]


def test_a_rating_and_a_reason_exclude_each_other(tables):
    assert all((r["rating"] is None) != (r["invalid_reason"] is None) for r in tables[0].to_pylist())


def test_the_table_holds_what_figures_are_made_of(tables):
    row = tables[0].to_pylist()[2]
    assert (row["gold_rating"], row["expected_rating"], row["split"]) == (2.5, 2.6, "test")


def test_texts_are_stored_once_per_example(tables):
    assert [row["doc_id"] for row in tables[1].to_pylist()] == ["test-d0", "test-d1"]


def test_judgments_and_examples_must_pair_up(tmp_path):
    with pytest.raises(ValueError, match="shorter"):
        RunFolder.create(tmp_path, {}).write_judgments([("judge", "r", [make_judgment(3)] * 2, [make_example(3)])])

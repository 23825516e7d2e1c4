"""Bulk labeling: every row in, every row out, with all its columns, in order."""

import json

import pyarrow.parquet as pq
import pytest

from cluster.labeling import bulk as labeling
from cluster.labeling.bulk import label_rows
from cluster.labeling.reading import passed_columns, read_rows
from cluster.progress import Progress
from judge_serve.judging import RefusedInputError, Release
from optimize_workers.dataset.splits import load_items
from tests.builders import JUDGE
from tests.fakes import InProcessPool, ScriptedEngine, json_reply

RELEASE = Release(judge=JUDGE)


def label(tmp_path, lines, script=None):
    data = tmp_path / "in.jsonl"
    data.write_text("\n".join(lines), encoding="utf-8")
    out = tmp_path / "out"
    out.mkdir()
    pool = InProcessPool(ScriptedEngine(script or (lambda request: json_reply(4, "why"))))
    result = label_rows(load_items(str(data)), RELEASE, pool, out, Progress())
    return result, [row for shard in result["shards"] for row in pq.read_table(shard).to_pylist()]


def test_a_row_gets_its_label_and_keeps_its_columns(tmp_path):
    result, [row] = label(tmp_path, ['{"query": "q", "document": "d", "doc_id": "d1", "owner": "me"}'])
    assert (row["query"], row["document"], row["doc_id"], row["owner"]) == ("q", "d", "d1", "me")
    assert (row["rating"], row["explanation"], row["invalid_reason"]) == (4, "why", None)
    assert (row["release"], row["model"], row["mode"]) == (RELEASE.id, "scripted", "generate")
    assert (result["rows"], result["invalid"], result["release"]) == (1, 0, RELEASE.id)


def test_an_unreadable_reply_is_a_row_without_a_rating(tmp_path):
    result, [row] = label(tmp_path, ['{"query": "q", "document": "d"}'], lambda request: "no idea")
    assert (row["rating"], row["invalid_reason"]) == (None, "not_json")
    assert result["invalid"] == 1


def test_a_column_that_the_first_row_lacks_is_kept(tmp_path):
    _, rows = label(
        tmp_path, ['{"query": "q", "document": "d"}', '{"query": "r", "document": "e", "owner": "me", "note": null}']
    )
    assert [row.get("owner") for row in rows] == [None, "me"]


def test_a_column_named_like_a_label_is_kept_under_another_name(tmp_path):
    _, [row] = label(tmp_path, ['{"query": "q", "document": "d", "rating": 2, "model": "old"}'])
    assert (row["rating"], row["input_rating"], row["input_model"]) == (4, 2, "old")


def test_shards_keep_the_order_of_rows(tmp_path, monkeypatch):
    monkeypatch.setattr(labeling, "SHARD_ROWS", 3)
    lines = [f'{{"query": "q{n}", "document": "d{n}"}}' for n in range(8)]
    result, rows = label(tmp_path, lines)
    assert [row["query"] for row in rows] == [f"q{n}" for n in range(8)]
    assert len(result["shards"]) == 3
    assert [path.suffix for path in sorted((tmp_path / "out").iterdir())] == [".parquet"] * 3


@pytest.mark.parametrize("values", [('"size": 1', '"size": 2.5'), ('"size": null', '"size": "x"')])
def test_columns_of_mixed_numbers_and_gaps_pass_through(tmp_path, values):
    _, rows = label(tmp_path, [f'{{"query": "q", "document": "d{n}", {value}}}' for n, value in enumerate(values)])
    assert len(rows) == 2
    assert rows[1]["size"] in (2.5, "x")


# --- columns that cannot be passed through are refused before any pair is judged ---

PAIR = '"query": "q", "document": "d"'


@pytest.mark.parametrize(
    ("column", "first_bad"),
    [
        (["{}", "{}"], 1),
        (["null", "{}"], 2),
        (['{"a": {}}', "null"], 1),
        (["[{}]", "[{}]"], 1),
        (["1", str(2**70)], 2),
        ([str(-(2**63)), str(-(2**63) - 1)], 2),
        (['{"a": 1}', '{"a": 36893488147419103232}'], 2),
        (["1", '"one"'], 2),
        (["true", "1", "2"], 2),
        (['"a"', '["a"]'], 2),
        (['{"a": 1}', "[1]"], 2),
        (["[1]", '["one"]'], 2),
        (['"a"', '"\\ud800"'], 2),
    ],
)
def test_a_column_that_parquet_cannot_hold_is_refused_before_any_judge_call(tmp_path, column, first_bad):
    lines = [f'{{{PAIR}, "meta": {value}}}' for value in column]
    asked = []
    with pytest.raises(RefusedInputError, match=rf"column 'meta' cannot be passed through \(row {first_bad}\)"):
        label(tmp_path, lines, lambda request: asked.append(request) or json_reply(4, "why"))
    assert asked == []
    with pytest.raises(RefusedInputError, match=rf"column 'meta' .* \(in\.jsonl:{first_bad}\)"):
        read_rows(str(tmp_path / "in.jsonl"))


@pytest.mark.parametrize(
    "column",
    [
        ["1", "2.5"],
        [str(2**63 - 1), str(-(2**63))],
        [str(2**64 - 1), "0"],
        ['{"a": 1, "b": null}', '{"a": null, "b": "two"}'],
        ["[]", "[]"],
        ["[]", '["a"]'],
        ['{"a": null}', '{"a": null}'],
        ['"x"', "null"],
    ],
)
def test_other_columns_pass_through(tmp_path, column):
    lines = [f'{{{PAIR}, "meta": {value}}}' for value in column]
    _, rows = label(tmp_path, lines)
    given = [json.loads(value) for value in column]
    assert [row["meta"] for row in rows] == given


def test_two_columns_of_one_name_in_the_labels_are_refused(tmp_path):
    with pytest.raises(RefusedInputError, match="'rating' and 'input_rating' would both be written as 'input_rating'"):
        label(tmp_path, [f'{{{PAIR}, "input_rating": 1, "rating": 2}}'])


def test_columns_of_folders_are_passed_through(tmp_path):
    data = tmp_path / "in" / "day=2024-05-01" / "a.jsonl"
    data.parent.mkdir(parents=True)
    data.write_text(f"{{{PAIR}}}\n")
    assert passed_columns(read_rows(str(tmp_path / "in"))).column("day").to_pylist() == ["2024-05-01"]

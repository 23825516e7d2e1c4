"""Values that say that there is none, and numbers of other kinds: what a row of any file says."""

from decimal import Decimal

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from judge_serve.judging import RefusedInputError
from judge_serve.judging.content_key import digest_of_text
from optimize_workers.dataset.splits import load_dataset
from tests.builders import SCALE
from tests.unit.optimize_workers.dataset.test_splits import ROWS, changed, load, write_csv

NAN = float("nan")


def table_of(tmp_path, **columns):
    path = tmp_path / "data.parquet"
    plain = {"query": ["one", "two"], "document": ["d", "e"], "rating": [4, 2], "split": ["train", "train"]}
    pq.write_table(pa.table({**plain, **columns}), path)
    return load_dataset(str(path), SCALE).by_split["train"]


def test_ids_that_are_nan_are_missing(tmp_path):
    one, two = table_of(tmp_path, query_id=[NAN, NAN], doc_id=[NAN, 7.0])
    assert (one.item.query_id, two.item.doc_id) == (digest_of_text("one")[:16], "7")
    assert one.item.query_id != two.item.query_id


def test_ids_held_as_floats_are_those_held_as_whole_numbers(tmp_path):
    columns = [
        pa.array(["101", "7"]),
        pa.array([101, 7]),
        pa.array([101.0, 7.0]),
        pa.array([101, 7], pa.decimal128(9, 2)),
    ]
    assert {tuple(e.item.query_id for e in table_of(tmp_path, query_id=ids)) for ids in columns} == {("101", "7")}


@pytest.mark.parametrize("kind", [pa.int8(), pa.float32(), pa.decimal128(3, 2), pa.decimal256(40, 2), pa.string()])
def test_ratings_are_numbers_of_any_type(tmp_path, kind):
    four, two = ("4", "2") if kind == pa.string() else (4, 2) if kind == pa.int8() else (Decimal(4), Decimal(2))
    ratings = pa.array([four, two] if kind != pa.float32() else [4.0, 2.0], kind)
    assert [e.gold_rating for e in table_of(tmp_path, rating=ratings)] == [4.0, 2.0]


def test_ratings_in_a_list_may_be_decimals(tmp_path):
    ratings = pa.array([[Decimal("4.5"), Decimal("3.5")], [Decimal(2)]], pa.list_(pa.decimal128(3, 1)))
    assert [e.gold_rating for e in table_of(tmp_path, rating=[NAN, NAN], ratings=ratings)] == [4.0, 2.0]


@pytest.mark.parametrize("values", [{"explanation": NAN}, {"explanations": [NAN, None]}, {"explanations": NAN}])
def test_reasons_that_are_nan_are_none(tmp_path, values):
    assert load(tmp_path, changed(**values)).by_split["train"][1].explanations == ()


def test_reasons_of_a_csv_file_that_are_nan_are_none(tmp_path):
    rows = [{"query": "q", "document": "d", "rating": 3, "explanation": text} for text in ("nan", "fits")]
    path = write_csv(tmp_path / "a.csv", [{**row, "split": "val"} for row in rows])
    assert [e.explanations for e in load_dataset(path, SCALE).by_split["val"]] == [(), ("fits",)]


def test_splits_that_are_all_nan_are_drawn(tmp_path):
    rows = [{**row, "split": NAN} for row in ROWS]
    assert load(tmp_path, rows).is_drawn
    with pytest.raises(RefusedInputError, match=r"split nan refused \(data\.jsonl:2, column 'split'\)"):
        load(tmp_path, changed(split=NAN))

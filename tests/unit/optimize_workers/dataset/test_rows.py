"""Rows: the same values from every kind of file, and the exact place of what cannot be read."""

import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from judge_serve.judging import RefusedInputError
from optimize_workers.dataset.rows import MAX_TEXT_CHARS, Row, read_rows, require_text

TWO = [{"query": "cats", "document": "About cats."}, {"query": "dogs", "document": "About dogs."}]


def write_jsonl(path, rows):
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def read(path):
    return list(read_rows(str(path)))


def test_rows_know_their_line(tmp_path):
    rows = read(write_jsonl(tmp_path / "a.jsonl", TWO))
    assert rows == [Row(TWO[0], "a.jsonl:1"), Row(TWO[1], "a.jsonl:2")]


def test_blank_lines_are_counted_but_are_no_rows(tmp_path):
    path = tmp_path / "a.jsonl"
    path.write_text('\n{"query": "x"}\n  \n{"query": "y"}\n')
    assert [row.place for row in read(path)] == ["a.jsonl:2", "a.jsonl:4"]


def test_a_csv_file_gives_texts_with_their_line(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text('query,document\ncats,"two\nlines"\ndogs,one\n', encoding="utf-8")
    assert read(path) == [
        Row({"query": "cats", "document": "two\nlines"}, "a.csv:3"),
        Row({"query": "dogs", "document": "one"}, "a.csv:4"),
    ]


def test_a_byte_order_mark_is_no_part_of_a_column(tmp_path):
    path = tmp_path / "a.csv"
    path.write_bytes(b"\xef\xbb\xbfquery,document\nq,d\n")
    assert read(path)[0].values == {"query": "q", "document": "d"}


def test_a_parquet_file_counts_its_rows_from_one(tmp_path):
    pq.write_table(pa.Table.from_pylist(TWO), tmp_path / "a.parquet")
    assert read(tmp_path / "a.parquet") == [Row(TWO[0], "a.parquet:1"), Row(TWO[1], "a.parquet:2")]


def test_files_of_a_folder_are_read_in_name_order(tmp_path):
    write_jsonl(tmp_path / "b.jsonl", TWO[1:])
    write_jsonl(tmp_path / "a.jsonl", TWO[:1])
    (tmp_path / "notes.txt").write_text("not data")
    assert [row.place for row in read(tmp_path)] == ["a.jsonl:1", "b.jsonl:1"]


def test_a_uri_is_opened_like_a_path(tmp_path):
    path = write_jsonl(tmp_path / "a.jsonl", TWO)
    assert read(path.as_uri()) == read(path)


def test_a_value_that_is_null_is_a_value_that_is_not_given(tmp_path):
    write_jsonl(tmp_path / "a.jsonl", [{**TWO[0], "rating": None}])
    pq.write_table(pa.Table.from_pylist([{**TWO[0], "rating": None}]), tmp_path / "a.parquet")
    assert read(tmp_path / "a.jsonl")[0].values == read(tmp_path / "a.parquet")[0].values


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("{", r"not a JSON object \(a\.jsonl:2\)"),
        ("[" * 100_000, r"not a JSON object \(a\.jsonl:2\)"),
        ("[1]", r"expected a JSON object, found list \(a\.jsonl:2\)"),
        ("7", r"expected a JSON object, found int \(a\.jsonl:2\)"),
    ],
)
def test_a_bad_line_is_refused_with_its_place(tmp_path, line, message):
    path = tmp_path / "a.jsonl"
    path.write_text(json.dumps(TWO[0]) + "\n" + line + "\n")
    with pytest.raises(RefusedInputError, match=message):
        read(path)


def test_a_line_that_is_no_utf8_is_refused_with_its_place(tmp_path):
    path = tmp_path / "a.jsonl"
    path.write_bytes(b'{"query": "\xff"}\n')
    with pytest.raises(RefusedInputError, match=r"not a JSON object \(a\.jsonl:1\)"):
        read(path)


@pytest.mark.parametrize("line", ["only-one", "a,b,c"])
def test_a_csv_row_of_another_width_is_refused_with_its_place(tmp_path, line):
    path = tmp_path / "a.csv"
    path.write_text(f"query,document\nq,d\n{line}\n")
    with pytest.raises(RefusedInputError, match=r"wrong number of columns \(a\.csv:3\)"):
        read(path)


def test_a_csv_file_that_is_no_utf8_is_refused(tmp_path):
    (tmp_path / "a.csv").write_bytes(b"query,document\n\xff,d\n")
    with pytest.raises(RefusedInputError, match=r"a\.csv: not a readable CSV file"):
        read(tmp_path / "a.csv")


def test_a_file_that_only_claims_to_be_parquet_is_refused(tmp_path):
    (tmp_path / "a.parquet").write_text("no")
    with pytest.raises(RefusedInputError, match=r"a\.parquet: not a readable Parquet file"):
        read(tmp_path / "a.parquet")


def test_an_unknown_kind_of_file_is_refused(tmp_path):
    (tmp_path / "a.xlsx").touch()
    with pytest.raises(RefusedInputError, match=r"a\.xlsx: unknown kind of file; expected one of \.jsonl"):
        read(tmp_path / "a.xlsx")


def test_a_missing_file_is_refused(tmp_path):
    with pytest.raises(RefusedInputError, match="no such file or folder"):
        read(tmp_path / "gone.jsonl")


def test_a_folder_without_data_is_refused(tmp_path):
    with pytest.raises(RefusedInputError, match=r"no \.jsonl, \.csv, \.parquet file in it"):
        read(tmp_path)


def test_an_unknown_protocol_is_refused():
    with pytest.raises(RefusedInputError, match="cannot be opened"):
        read("nosuch://bucket/a.jsonl")


def test_a_missing_column_is_named():
    with pytest.raises(RefusedInputError, match=r"column 'document' is missing \(a\.jsonl:7\)"):
        require_text(Row({"query": "q"}, "a.jsonl:7"), "document")


@pytest.mark.parametrize("value", ["", "  \n", 7, None, ["text"]])
def test_what_is_no_text_is_refused_with_place_column_and_value(value):
    with pytest.raises(
        RefusedInputError, match=r"refused \(a\.jsonl:7, column 'query'\); expected non-empty"
    ) as caught:
        require_text(Row({"query": value}, "a.jsonl:7"), "query")
    assert repr(value) in str(caught.value)


def test_a_text_that_is_too_long_is_refused_without_printing_it():
    with pytest.raises(RefusedInputError, match="expected at most 1000000 characters, found 1000001") as caught:
        require_text(Row({"query": "x" * (MAX_TEXT_CHARS + 1)}, "a.jsonl:7"), "query")
    assert len(str(caught.value)) < 300


def test_a_lone_surrogate_cannot_be_stored_and_is_replaced():
    assert require_text(Row({"query": "a\ud800b"}, "a.jsonl:1"), "query") == "a?b"

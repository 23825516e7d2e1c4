"""Rows: the same values from every kind of file, and the exact place of what cannot be read."""

import json
from decimal import Decimal

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from judge_serve.judging import RefusedInputError
from optimize_workers.dataset.rows import MAX_TEXT_CHARS, Row, given_id, read_rows, require_text

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


# --- a column that stands twice ---


@pytest.mark.parametrize(
    ("name", "content", "place"),
    [
        ("a.csv", b"query,document,rating,rating\nq,d,4,1\n", r"'rating' stands twice \(a\.csv:1\)"),
        ("a.csv", b"\n\nquery,document,,\nq,d,1,2\n", r"'' stands twice \(a\.csv:3\)"),
        ("a.csv", b'query,document,"query"\n', r"'query' stands twice \(a\.csv:1\)"),
        ("a.jsonl", b'{"query": "a"}\n{"query": "a", "query": "b"}\n', r"'query' stands twice \(a\.jsonl:2\)"),
        ("a.jsonl", b'{"a": {"b": [{"c": 1, "c": 1}]}}\n', r"'c' stands twice \(a\.jsonl:1\)"),
        ("a.jsonl", b'{"a": null, "a": null}\n', r"'a' stands twice \(a\.jsonl:1\)"),
    ],
)
def test_a_doubled_column_is_refused(tmp_path, name, content, place):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(RefusedInputError, match=f"column {place}"):
        read(tmp_path / name)


def test_a_doubled_column_of_a_parquet_file_is_refused(tmp_path):
    table = pa.Table.from_arrays([pa.array(["q"]), pa.array(["d"]), pa.array(["e"])], ["query", "document", "document"])
    pq.write_table(table, tmp_path / "a.parquet")
    with pytest.raises(RefusedInputError, match=r"column 'document' stands twice \(a\.parquet\)"):
        read(tmp_path / "a.parquet")


# --- encodings and quoting ---

GOOD = {".jsonl": '{"query": "q", "document": "d"}\n', ".csv": "query,document\n"}
BAD = {".jsonl": '{"query": "caf\u00e9", "document": "d"}\n', ".csv": "caf\u00e9,d\n"}


@pytest.mark.parametrize("suffix", GOOD)
@pytest.mark.parametrize("encoding", ["latin-1", "cp1252", "mac-roman"])
def test_another_encoding_is_refused_with_line_and_byte(tmp_path, suffix, encoding):
    bad = BAD[suffix].encode(encoding)
    path = tmp_path / f"a{suffix}"
    path.write_bytes(GOOD[suffix].encode() + bad)
    code = "\u00e9".encode(encoding)
    message = f"a{suffix}:2): byte {bad.index(code) + 1} of the line is 0x{code.hex()}, which is no UTF-8; save"
    with pytest.raises(RefusedInputError) as caught:
        read(path)
    assert message.replace("): ", ": ") in str(caught.value).replace("): ", ": ")


@pytest.mark.parametrize("suffix", GOOD)
@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-be", "utf-16-le", "utf-32"])
def test_wide_encodings_are_refused_with_their_line(tmp_path, suffix, encoding):
    path = tmp_path / f"a{suffix}"
    path.write_bytes((GOOD[suffix] + BAD[suffix]).encode(encoding))
    with pytest.raises(RefusedInputError, match=rf"a\{suffix}:[12]"):
        for row in read(path):
            require_text(row, "query")


@pytest.mark.parametrize("suffix", GOOD)
def test_utf16_is_called_so(tmp_path, suffix):
    path = tmp_path / f"a{suffix}"
    path.write_bytes(GOOD[suffix].encode("utf-16"))
    with pytest.raises(RefusedInputError, match=rf"a\{suffix}:1.*byte 1 .*looks like UTF-16; save the file as UTF-8"):
        read(path)


@pytest.mark.parametrize("suffix", GOOD)
def test_a_byte_order_mark_and_other_scripts_are_read(tmp_path, suffix):
    path = tmp_path / f"a{suffix}"
    more = (
        '{"query": "\u0938\u0940 \U0001f600", "document": "d"}\n'
        if suffix == ".jsonl"
        else "\u0938\u0940 \U0001f600,d\n"
    )
    path.write_bytes((GOOD[suffix] + more).encode("utf-8-sig"))
    assert read(path)[-1].values == {"query": "\u0938\u0940 \U0001f600", "document": "d"}


@pytest.mark.parametrize("ends", ["\n", "\r\n", "\r"])
def test_every_line_end_ends_a_csv_line(tmp_path, ends):
    path = tmp_path / "a.csv"
    path.write_bytes(ends.join(["query,document", "q,d", "", 'r,"x', 'y"']).encode())
    assert read(path) == [
        Row({"query": "q", "document": "d"}, "a.csv:2"),
        Row({"query": "r", "document": f"x{ends}y"}, "a.csv:5"),
    ]


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (['q,"open', "r,d"], r"a\.csv:2: unexpected end of data, in the row of line 2 to 3"),
        (["q,d", 'q,"a" b'], r"a\.csv:3: .* in the row of line 3\)"),
        (["q,d", 'q,"open', 'r,"d"'], r"a\.csv:3: .* in the row of line 3 to 4"),
        (["q,d", 'q,"' + "x" * (MAX_TEXT_CHARS + 2) + '"'], r"a\.csv:3: field larger than field limit"),
    ],
)
def test_broken_quoting_is_refused_with_the_line_that_it_begins_in(tmp_path, lines, message):
    path = tmp_path / "a.csv"
    path.write_text("\n".join(["query,document", *lines]) + "\n")
    with pytest.raises(RefusedInputError, match=rf"a\.csv: not a readable CSV file \({message}"):
        read(path)


# --- values of Parquet ---


def test_values_of_parquet_types_are_plain(tmp_path):
    table = pa.table(
        {
            "query": pa.array(["q"]).dictionary_encode(),
            "big": pa.array([2**63], pa.uint64()),
            "price": pa.array(["1.50"]).cast(pa.decimal128(5, 2)),
            "at": pa.array([0], pa.timestamp("ms")),
            "tags": pa.array([["a"]]),
            "large": pa.array(["x"], pa.large_string()),
        }
    )
    pq.write_table(table, tmp_path / "a.parquet")
    [row] = read(tmp_path / "a.parquet")
    assert (row.values["query"], row.values["big"], str(row.values["price"])) == ("q", 2**63, "1.50")
    assert (row.values["at"].year, row.values["tags"], row.values["large"]) == (1970, ["a"], "x")


def test_a_value_that_python_cannot_hold_is_refused_with_its_place(tmp_path):
    days = pa.array([0, 0, 10**7], pa.date32())
    pq.write_table(pa.table({"query": ["q"] * 3, "day": days}), tmp_path / "a.parquet")
    with pytest.raises(RefusedInputError, match=r"day refused \(a\.parquet:3, column 'day'\)"):
        read(tmp_path / "a.parquet")


def test_a_parquet_file_that_breaks_off_is_refused(tmp_path):
    pq.write_table(pa.Table.from_pylist(TWO * 5_000), tmp_path / "a.parquet", compression="none", use_dictionary=False)
    content = bytearray((tmp_path / "a.parquet").read_bytes())
    content[1_000:60_000] = b"\xff" * 59_000
    (tmp_path / "a.parquet").write_bytes(content)
    with pytest.raises(RefusedInputError, match=r"a\.parquet: not a readable Parquet file"):
        read(tmp_path / "a.parquet")


# --- ids ---


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("a", "a"),
        (7, "7"),
        (0, "0"),
        (-3, "-3"),
        (2**80, str(2**80)),
        (101.0, "101"),
        (-0.0, "0"),
        (101.5, "101.5"),
        (Decimal("101.00"), "101"),
        (Decimal("101.50"), "101.50"),
        (Decimal(2**80), str(2**80)),
        ("101.0", "101.0"),
        ("nan", "nan"),
        ("", None),
        (None, None),
        (float("nan"), None),
        (Decimal("NaN"), None),
    ],
)
def test_an_id_is_a_text_or_missing(value, text):
    assert given_id(Row({"doc_id": value}, "a.jsonl:7"), "doc_id") == text


@pytest.mark.parametrize("value", [float("inf"), 1e300, 2.0**54, Decimal("Infinity"), [1], {"a": 1}, b"id", True])
def test_what_is_no_id_is_refused(value):
    with pytest.raises(RefusedInputError, match=r"refused \(a\.jsonl:7, column 'doc_id'\)"):
        given_id(Row({"doc_id": value}, "a.jsonl:7"), "doc_id")


@pytest.mark.parametrize(
    ("cell", "text"), [("101.0", "101"), ("nan", None), ("NaN", None), ("1.10", "1.10"), ("", None)]
)
def test_ids_of_a_csv_file_that_held_floats_are_what_they_were(tmp_path, cell, text):
    path = tmp_path / "a.csv"
    path.write_text(f"query,document,query_id,doc_id\n101.0,nan,{cell},{cell}\n")
    [row] = read(path)
    assert (row.values["query"], row.values["document"]) == ("101.0", "nan")
    assert (given_id(row, "query_id"), given_id(row, "doc_id")) == (text, text)

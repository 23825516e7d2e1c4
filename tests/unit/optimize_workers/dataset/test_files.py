"""Which files are read: not hidden ones, compressed ones too; strange ones refuse the input; folders give columns."""

import bz2
import gzip
import json
import lzma

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from judge_serve.judging import RefusedInputError
from optimize_workers.dataset.rows import Row, read_rows
from optimize_workers.dataset.splits import load_dataset
from tests.builders import SCALE

TWO = [{"query": "cats", "document": "About cats."}, {"query": "dogs", "document": "About dogs."}]
JSONL = "".join(json.dumps(row) + "\n" for row in TWO).encode()
CSV = b"query,document\ncats,About cats.\ndogs,About dogs.\n"
COMPRESSED = {
    ".gz": gzip.compress,
    ".bz2": bz2.compress,
    ".xz": lzma.compress,
    ".zst": lambda content: pa.Codec("zstd").compress(content, asbytes=True),
}


def read(path):
    return list(read_rows(str(path)))


def put(path, content):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


@pytest.mark.parametrize("compression", COMPRESSED)
@pytest.mark.parametrize(("suffix", "content", "first"), [(".jsonl", JSONL, 1), (".csv", CSV, 2), (".CSV", CSV, 2)])
@pytest.mark.parametrize("in_folder", [False, True])
def test_compressed_files_are_read(tmp_path, compression, suffix, content, first, in_folder):
    name = f"a{suffix}{compression}"
    path = put(tmp_path / "in" / name, COMPRESSED[compression](content))
    rows = read(path.parent if in_folder else path)
    assert rows == [Row(values, f"{name}:{first + n}") for n, values in enumerate(TWO)]


@pytest.mark.parametrize("compression", COMPRESSED)
@pytest.mark.parametrize("suffix", [".jsonl", ".csv"])
def test_a_damaged_compressed_file_is_refused_with_its_place(tmp_path, compression, suffix):
    content = COMPRESSED[compression](JSONL * 2_000 if suffix == ".jsonl" else CSV + CSV[15:] * 2_000)
    path = put(tmp_path / f"a{suffix}{compression}", content[: len(content) // 2])
    with pytest.raises(RefusedInputError, match=rf"a\{suffix}\{compression}:\d+: the file cannot be read on"):
        read(path)
    put(path, b"this is not compressed at all")
    with pytest.raises(RefusedInputError, match=rf"a\{suffix}\{compression}:1: the file cannot be read on"):
        read(path)


@pytest.mark.parametrize(
    "name",
    [
        *(f"notes{ending}" for ending in (".json", ".tsv", ".txt", ".avro", ".orc", ".arrow", ".xlsx", ".zip", ".md")),
        *("part-00000", "a.jsonl.lz4", "a.json.gz", "a.parquet.gz", "a.tsv.zst", "a.jsonl.bak", "a.gz", "sub/deep.txt"),
    ],
)
def test_a_file_of_another_kind_refuses_the_folder_and_is_named(tmp_path, name):
    put(tmp_path / "in" / "a.jsonl", JSONL)
    path = put(tmp_path / "in" / name, b"no data")
    with pytest.raises(RefusedInputError) as caught:
        read(tmp_path / "in")
    assert f"1 of 2 files are of an unknown kind: {name}; expected one of .jsonl, .csv, .parquet" in str(caught.value)
    with pytest.raises(RefusedInputError, match=r"unknown kind of file; expected one of \.jsonl"):
        read(path)


@pytest.mark.parametrize(
    "name",
    [
        *(".ipynb_checkpoints/a-checkpoint.jsonl", ".a.jsonl", "_SUCCESS", "_metadata", "._a.jsonl", ".DS_Store"),
        *("_delta_log/0.json", "split=train/.part-0.parquet.crc", "sub/_temporary/0/a.csv", ".git/config"),
    ],
)
def test_hidden_files_are_no_data(tmp_path, name):
    put(tmp_path / "in" / "a.jsonl", JSONL)
    put(tmp_path / "in" / name, JSONL)
    assert [row.place for row in read(tmp_path / "in")] == ["a.jsonl:1", "a.jsonl:2"]


def test_a_folder_in_a_hidden_one_is_read_as_it_is_named(tmp_path):
    put(tmp_path / ".hidden" / "_in" / "a.jsonl", JSONL)
    assert len(read(tmp_path / ".hidden" / "_in")) == 2
    assert len(read(put(tmp_path / "_a.jsonl", JSONL))) == 2


def test_a_folder_of_hidden_files_alone_is_refused(tmp_path):
    put(tmp_path / "in" / ".a.jsonl", JSONL)
    with pytest.raises(RefusedInputError, match=r"no \.jsonl, \.csv, \.parquet file in it; names that begin with"):
        read(tmp_path / "in")


# --- columns that folders give ---


def test_folders_give_columns_to_files_of_every_kind(tmp_path):
    pq_path = tmp_path / "in" / "split=train" / "year=2024" / "part.parquet"
    pq_path.parent.mkdir(parents=True)
    pq.write_table(pa.Table.from_pylist(TWO[:1]), pq_path)
    put(tmp_path / "in" / "split=test" / "a.jsonl", JSONL)
    put(tmp_path / "in" / "split=val" / "plain" / "a.csv.gz", gzip.compress(CSV))
    assert read(tmp_path / "in") == [
        *(Row({"split": "test", **row}, f"split=test/a.jsonl:{n + 1}") for n, row in enumerate(TWO)),
        Row({"split": "train", "year": "2024", **TWO[0]}, "split=train/year=2024/part.parquet:1"),
        *(Row({"split": "val", **row}, f"split=val/plain/a.csv.gz:{n + 2}") for n, row in enumerate(TWO)),
    ]


@pytest.mark.parametrize(
    ("folder", "columns"),
    [
        ("owner=a%20b%2Fc", {"owner": "a b/c"}),
        ("owner=a=b", {"owner": "a=b"}),
        ("owner=__HIVE_DEFAULT_PARTITION__", {}),
        ("=a", {}),
        ("plain", {}),
    ],
)
def test_folder_names_are_read_as_other_tools_write_them(tmp_path, folder, columns):
    put(tmp_path / "in" / folder / "a.jsonl", JSONL)
    assert read(tmp_path / "in")[0].values == {**columns, **TWO[0]}


def test_splits_of_folders_are_splits(tmp_path):
    for split in ("train", "val", "test"):
        row = {"query": f"of {split}", "document": "d", "rating": 3}
        put(tmp_path / "in" / f"split={split}" / "a.jsonl", json.dumps(row).encode())
    dataset = load_dataset(str(tmp_path / "in"), SCALE)
    assert {split: [e.item.query for e in part] for split, part in dataset.by_split.items()} == {
        split: [f"of {split}"] for split in ("train", "val", "test")
    }


def test_a_file_that_gainsays_its_folder_is_refused(tmp_path):
    put(tmp_path / "in" / "split=train" / "a.jsonl", b'{"split": "train"}\n{"split": "test"}\n')
    with pytest.raises(RefusedInputError, match=r"split 'test' refused \(split=train/a\.jsonl:2, column 'split'\)"):
        read(tmp_path / "in")


def test_two_folders_that_give_one_column_are_refused(tmp_path):
    put(tmp_path / "in" / "split=train" / "split=test" / "a.jsonl", JSONL)
    with pytest.raises(RefusedInputError, match=r"a\.jsonl: two of its folders give column 'split'"):
        read(tmp_path / "in")

"""What is said of data before they are judged: what crosses splits, and how unevenly splits were drawn."""

import json

import pytest

from cluster.adapting.data_notes import crossings_of
from judge_serve.judging.content_key import digest_of_text
from optimize_workers.dataset.splits import load_dataset, split_of_query
from tests.builders import SCALE


def notes(tmp_path, rows):
    path = tmp_path / "data.jsonl"
    path.write_text("".join(json.dumps({"document": f"d{n}", "rating": 3, **row}) + "\n" for n, row in enumerate(rows)))
    return list(crossings_of(load_dataset(str(path), SCALE)))


def ids_of(split, count):
    return [name for name in (f"q{n}" for n in range(10 * count)) if split_of_query(name) == split][:count]


ORDINARY = [{"query_id": f"q{n}", "query": f"about {digest_of_text(str(n))}"} for n in range(60)]


def test_ordinary_data_need_no_word(tmp_path):
    assert notes(tmp_path, ORDINARY) == []


def test_queries_across_given_splits_are_told(tmp_path):
    [note] = notes(
        tmp_path,
        [
            {"query_id": "a", "query": "Reset my VPN", "split": "train"},
            {"query_id": "b", "query": "reset my vpn?", "split": "test"},
        ],
    )
    assert note.startswith(
        "1 queries occur in more than one split, by id or by text but for case and punctuation, such"
    )


def test_near_copies_of_queries_are_told_with_an_example(tmp_path):
    [note] = notes(
        tmp_path,
        [
            {"query": "parental leave policy", "split": "train"},
            {"query": "Parental leave policies", "split": "val"},
        ],
    )
    assert (
        "1 queries nearly repeat one of another split, such as 'parental leave policy' and 'Parental leave pol" in note
    )


@pytest.mark.parametrize("split", ["train", "val", "test"])
def test_a_query_that_swallows_the_splits_is_told_with_numbers(tmp_path, split):
    (name,) = ids_of(split, 1)
    large = [{"query_id": name, "query": "the same"}] * 100
    [note] = notes(tmp_path, [*(row for row in ORDINARY if row["query_id"] != name), *large])
    assert note.startswith("splits are drawn by query, and they are uneven: train ")
    assert f"query '{name}' alone has 100 of " in note
    sizes = [int(part.split()[1]) for part in note.split(": ")[1].split(";")[0].split(", ")]
    assert sum(sizes) == 159 + (name not in {row["query_id"] for row in ORDINARY})


def test_an_empty_split_is_told_with_numbers(tmp_path):
    [note] = notes(
        tmp_path, [{"query_id": name, "query": f"about {digest_of_text(name)}"} for name in ids_of("train", 4)]
    )
    assert "train 4 rows of 4 queries, val 0 rows of 0 queries, test 0 rows of 0 queries" in note


def test_splits_that_depend_on_the_order_of_rows_are_told(tmp_path):
    one, other = ids_of("train", 1)[0], ids_of("test", 1)[0]
    others = [row for row in ORDINARY if row["query_id"] not in (one, other)]
    [note] = notes(tmp_path, [*others, *({"query_id": name, "query": "the same"} for name in (one, other))])
    assert note.startswith(
        f"1 queries have ids that would be drawn into several splits, such as {one}; each goes where"
    )

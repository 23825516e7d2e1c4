"""Labelled data: one content from every kind of file, exact refusals, stable splits, a sealed test split."""

import csv
import json
from collections import Counter

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from judge_serve.judging import Demonstration, RefusedInputError
from optimize_workers.dataset.splits import draw_examples, load_dataset, load_items, split_of_query
from tests.builders import SCALE, make_examples

ROWS = [
    {"query_id": f"q{n}", "query": f"query {n}", "document": f"document {n}", "rating": n % 5 + 1, "split": split}
    for n, split in enumerate(["train", "train", "train", "val", "val", "test", "test"])
]


def write_jsonl(path, rows):
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return str(path)


def write_csv(path, rows):
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, rows[0])
        writer.writeheader()
        writer.writerows(rows)
    return str(path)


def write_parquet(path, rows):
    pq.write_table(pa.Table.from_pylist(rows), path)
    return str(path)


def load(tmp_path, rows):
    return load_dataset(write_jsonl(tmp_path / "data.jsonl", rows), SCALE)


def changed(**values):
    """The rows with other values in the second one; None removes a column."""
    second = {key: value for key, value in {**ROWS[1], **values}.items() if value is not None}
    return [ROWS[0], second, *ROWS[2:]]


# --- one content ---


def test_every_kind_of_file_has_the_same_fingerprint(tmp_path):
    folder = tmp_path / "folder"
    folder.mkdir()
    write_jsonl(folder / "b.jsonl", ROWS[:3])
    write_csv(folder / "a.csv", ROWS[3:])
    locations = [
        write_jsonl(tmp_path / "data.jsonl", ROWS),
        write_csv(tmp_path / "data.csv", ROWS),
        write_parquet(tmp_path / "data.parquet", ROWS),
        str(folder),
    ]
    assert len({load_dataset(location, SCALE).fingerprint for location in locations}) == 1


def test_the_order_of_rows_does_not_matter(tmp_path):
    assert load(tmp_path, ROWS).fingerprint == load(tmp_path, ROWS[::-1]).fingerprint


@pytest.mark.parametrize(
    "values", [{"rating": 5}, {"query": "other"}, {"document": "other"}, {"split": "val"}, {"query_id": "other"}]
)
def test_every_value_that_matters_is_in_the_fingerprint(tmp_path, values):
    assert load(tmp_path, ROWS).fingerprint != load(tmp_path, changed(**values)).fingerprint


def test_a_row_that_occurs_twice_is_in_the_fingerprint(tmp_path):
    assert load(tmp_path, ROWS).fingerprint != load(tmp_path, [*ROWS, ROWS[0]]).fingerprint


def test_missing_ids_are_digests_of_the_text(tmp_path):
    rows = [{"query": "same", "document": f"document {n}", "rating": 3} for n in range(2)]
    examples = [e for part in load(tmp_path, rows).by_split.values() for e in part]
    assert len({e.item.query_id for e in examples}) == 1
    assert len({e.item.doc_id for e in examples}) == 2


def test_numbers_as_ids_are_texts(tmp_path):
    rows = [{"query_id": 0, "doc_id": 7, "query": "q", "document": "d", "rating": 3, "split": "train"}]
    item = load(tmp_path, rows).by_split["train"][0].item
    assert (item.query_id, item.doc_id) == ("0", "7")


def test_reasons_are_read_in_both_forms(tmp_path):
    rows = changed(explanation=" why \n")
    rows[0] = {**rows[0], "explanations": ["one", " ", "two "]}
    train = load(tmp_path, rows).by_split["train"]
    assert [e.explanations for e in train] == [("one", "two"), ("why",), ()]


# --- ratings ---


def test_several_ratings_count_as_their_mean(tmp_path):
    example = load(tmp_path, changed(rating=None, ratings=[4, 5, 5])).by_split["train"][1]
    assert example.gold_rating == pytest.approx(14 / 3)
    assert example.gold_ratings == (4.0, 5.0, 5.0)


def test_a_csv_cell_holds_ratings_as_json(tmp_path):
    rows = [{"query": "q", "document": "d", "ratings": "[2, 3]", "split": "train"}]
    assert load_dataset(write_csv(tmp_path / "a.csv", rows), SCALE).by_split["train"][0].gold_rating == 2.5


def test_a_given_rating_goes_before_the_mean(tmp_path):
    assert load(tmp_path, changed(rating=4, ratings=[1, 1])).by_split["train"][1].gold_rating == 4


def test_fractional_ratings_are_kept(tmp_path):
    assert load(tmp_path, changed(rating=3.25)).by_split["train"][1].gold_rating == 3.25


# --- refusals name place, column and value ---


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"query": None}, r"column 'query' is missing \(data\.jsonl:2\)"),
        ({"document": None}, r"column 'document' is missing \(data\.jsonl:2\)"),
        ({"rating": None}, r"column 'rating' is missing \(data\.jsonl:2\)"),
        ({"document": ""}, r"document '' refused \(data\.jsonl:2, column 'document'\)"),
        ({"document": "  "}, r"document '  ' refused \(data\.jsonl:2, column 'document'\)"),
        ({"rating": 7}, r"rating 7 is off scale 1-5 for query_id 'q1' \(data\.jsonl:2\); check the rating column"),
        ({"rating": 0}, r"rating 0 is off scale 1-5 for query_id 'q1' \(data\.jsonl:2\)"),
        ({"rating": float("nan")}, r"rating nan is off scale 1-5 for query_id 'q1' \(data\.jsonl:2\)"),
        ({"rating": float("inf")}, r"rating inf is off scale 1-5 for query_id 'q1' \(data\.jsonl:2\)"),
        ({"rating": "x"}, r"rating 'x' refused \(data\.jsonl:2, column 'rating'\); expected a number on scale 1-5"),
        ({"rating": True}, r"rating True refused \(data\.jsonl:2, column 'rating'\)"),
        ({"rating": [3]}, r"rating \[3\] refused \(data\.jsonl:2, column 'rating'\)"),
        ({"ratings": [3, 9]}, r"ratings 9 is off scale 1-5 for query_id 'q1' \(data\.jsonl:2\)"),
        (
            {"ratings": "no list"},
            r"ratings 'no list' refused \(data\.jsonl:2, column 'ratings'\); expected a JSON list",
        ),
        ({"ratings": 3}, r"ratings 3 refused \(data\.jsonl:2, column 'ratings'\); expected a list"),
        (
            {"split": "tets"},
            r"split 'tets' refused \(data\.jsonl:2, column 'split'\); expected one of train, val, test",
        ),
        ({"split": None}, r"split None refused \(data\.jsonl:2, column 'split'\); .*in every row, or no split column"),
    ],
)
def test_a_bad_row_is_refused(tmp_path, values, message):
    with pytest.raises(RefusedInputError, match=message):
        load(tmp_path, changed(**values))


def test_a_bad_json_line_is_refused(tmp_path):
    path = tmp_path / "data.jsonl"
    path.write_text(json.dumps(ROWS[0]) + "\n{query: 1}\n")
    with pytest.raises(RefusedInputError, match=r"not a JSON object \(data\.jsonl:2\)"):
        load_dataset(str(path), SCALE)


def test_a_bad_csv_row_is_refused(tmp_path):
    rows = changed(rating=9)
    with pytest.raises(RefusedInputError, match=r"rating 9 is off scale 1-5 for query_id 'q1' \(a\.csv:3\)"):
        load_dataset(write_csv(tmp_path / "a.csv", rows), SCALE)


def test_a_bad_parquet_row_is_refused(tmp_path):
    rows = changed(rating=9)
    with pytest.raises(RefusedInputError, match=r"rating 9 is off scale 1-5 for query_id 'q1' \(a\.parquet:2\)"):
        load_dataset(write_parquet(tmp_path / "a.parquet", rows), SCALE)


def test_data_without_rows_is_refused(tmp_path):
    with pytest.raises(RefusedInputError, match="no rows"):
        load(tmp_path, [])


# --- splits ---


def test_given_splits_are_used(tmp_path):
    assert {split: len(part) for split, part in load(tmp_path, ROWS).by_split.items()} == {
        "train": 3,
        "val": 2,
        "test": 2,
    }


def test_queries_split_about_60_20_20():
    counts = Counter(split_of_query(f"query-{number}") for number in range(5_000))
    assert counts["train"] == pytest.approx(3_000, abs=120)
    assert counts["val"] == pytest.approx(1_000, abs=100)
    assert counts["test"] == pytest.approx(1_000, abs=100)


def test_added_rows_move_no_query(tmp_path):
    rows = [{"query": f"query {n}", "document": f"document {n}", "rating": 3} for n in range(60)]
    before, after = load(tmp_path, rows[:30]), load(tmp_path, rows)
    for split, examples in before.by_split.items():
        assert {e.item.query_id for e in examples} <= {e.item.query_id for e in after.by_split[split]}


def test_all_documents_of_a_query_are_in_one_split(tmp_path):
    rows = [{"query": f"query {n % 10}", "document": f"document {n}", "rating": 3} for n in range(60)]
    splits = {}
    for split, examples in load(tmp_path, rows).by_split.items():
        for example in examples:
            splits.setdefault(example.item.query_id, set()).add(split)
    assert len(splits) == 10
    assert all(len(found) == 1 for found in splits.values())


@given(st.text())
def test_every_query_id_has_a_split(query_id):
    assert split_of_query(query_id.encode("utf-8", "replace").decode()) in ("train", "val", "test")


# --- the sealed test split ---


def test_optimizers_never_see_a_test_row(tmp_path):
    dataset = load(tmp_path, ROWS)
    data = dataset.for_optimizers()
    assert {e.split for e in (*data.train, *data.val)} == {"train", "val"}
    sealed = {e.item.document for e in dataset.by_split["test"]}
    assert sealed.isdisjoint(e.item.document for e in (*data.train, *data.val))


def test_opening_the_test_split_is_recorded(tmp_path):
    dataset, opened = load(tmp_path, ROWS), []
    assert len(dataset.open_split("test", opened.append)) == 2
    assert opened == [dataset.test_fingerprint]


@pytest.mark.parametrize("split", ["train", "val"])
def test_opening_another_split_is_not_recorded(tmp_path, split):
    opened = []
    load(tmp_path, ROWS).open_split(split, opened.append)
    assert opened == []


def test_an_empty_split_is_refused_and_not_recorded(tmp_path):
    opened = []
    with pytest.raises(RefusedInputError, match=r"split 'test' is empty, found \{'train': 3, 'val': 2\}"):
        load(tmp_path, ROWS[:5]).open_split("test", opened.append)
    assert opened == []


def test_a_document_that_crosses_splits_leaves_train(tmp_path):
    rows = [*ROWS, {**ROWS[5], "document": ROWS[0]["document"]}]
    dataset = load(tmp_path, rows)
    assert dataset.crossing_docs == {dataset.by_split["train"][0].item.doc_id}
    assert [e.item.query_id for e in dataset.for_optimizers().train] == ["q1", "q2"]


def test_a_document_crosses_splits_under_another_id_too(tmp_path):
    rows = [{**ROWS[0], "doc_id": "one"}, {**ROWS[5], "doc_id": "other", "document": ROWS[0]["document"]}, *ROWS[1:]]
    dataset = load(tmp_path, rows)
    assert {"one", "other"} <= dataset.crossing_docs
    assert "q0" not in {e.item.query_id for e in dataset.for_optimizers().train}


def test_a_document_repeated_within_a_split_does_not_cross(tmp_path):
    rows = [*ROWS, {**ROWS[1], "document": ROWS[0]["document"]}]
    assert load(tmp_path, rows).crossing_docs == frozenset()


# --- near copies ---

LONG_TEXT = " ".join(f"word{number}" for number in range(30))
COPIES = [LONG_TEXT.upper() + "!", f"Now {LONG_TEXT}", LONG_TEXT.replace("word12 ", ""), f"{LONG_TEXT} {LONG_TEXT}"]


@pytest.mark.parametrize("copy", COPIES)
@pytest.mark.parametrize("held_out", [3, 5], ids=["val", "test"])
def test_a_near_copy_of_a_held_out_document_leaves_train(tmp_path, copy, held_out):
    rows = [dict(row) for row in ROWS]
    rows[0] |= {"document": copy, "doc_id": "copy"}
    rows[held_out]["document"] = LONG_TEXT
    dataset = load(tmp_path, rows)
    assert dataset.near_copies == {"copy"}
    assert [e.item.query_id for e in dataset.for_optimizers().train] == ["q1", "q2"]


def test_a_near_copy_leaves_train_under_all_its_ids(tmp_path):
    rows = [dict(row) for row in ROWS]
    for number in (0, 1):
        rows[number] |= {"document": COPIES[0], "doc_id": f"copy-{number}"}
    rows[5]["document"] = LONG_TEXT
    dataset = load(tmp_path, rows)
    assert dataset.near_copies == {"copy-0", "copy-1"}
    assert [e.item.query_id for e in dataset.for_optimizers().train] == ["q2"]


def test_a_document_that_crosses_splits_is_no_near_copy_too(tmp_path):
    dataset = load(tmp_path, [*ROWS, {**ROWS[5], "document": ROWS[0]["document"]}])
    assert len(dataset.crossing_docs) == 1
    assert dataset.near_copies == frozenset()


def test_near_copies_within_train_stay(tmp_path):
    rows = [{**ROWS[0], "document": LONG_TEXT}, {**ROWS[1], "document": COPIES[0]}, *ROWS[2:]]
    dataset = load(tmp_path, rows)
    assert dataset.near_copies == frozenset()
    assert len(dataset.for_optimizers().train) == 3


# --- demonstrations that the judge brings along ---


def shown(document, query="query 0"):
    return Demonstration(query=query, document=document, rating=3, explanation="why")


def test_what_the_judge_shows_of_train_leaves_train(tmp_path):
    dataset = load(tmp_path, ROWS)
    dataset.require_unseen([shown("document 0")])
    assert [e.item.query_id for e in dataset.for_optimizers([shown("document 0")]).train] == ["q1", "q2"]


def test_so_do_other_pairs_of_the_shown_document_and_of_near_copies(tmp_path):
    dataset = load(tmp_path, [{**ROWS[0], "document": LONG_TEXT}, *ROWS[1:]])
    for document in (LONG_TEXT, COPIES[0]):
        kept = dataset.for_optimizers([shown(document, query="query 1")]).train
        assert [e.item.query_id for e in kept] == ["q1", "q2"]


@pytest.mark.parametrize(("held_out", "split"), [(3, "val"), (5, "test")])
@pytest.mark.parametrize("text", [LONG_TEXT, *COPIES])
def test_a_judge_that_shows_a_held_out_document_is_refused(tmp_path, held_out, split, text):
    rows = [dict(row) for row in ROWS]
    rows[held_out] |= {"document": LONG_TEXT, "doc_id": "held"}
    message = (
        rf"data\.jsonl: demonstration 2 of the judge shows document 'held' of split '{split}' or a near copy, .*"
        "take the demonstration out of the judge"
    )
    with pytest.raises(RefusedInputError, match=message):
        load(tmp_path, rows).require_unseen([shown("document 0"), shown(text)])


def test_a_judge_without_demonstrations_shows_nothing(tmp_path):
    load(tmp_path, ROWS).require_unseen([])


# --- drawing and items ---


def test_a_draw_keeps_the_order_and_the_limit():
    examples = make_examples(20)
    drawn = draw_examples(examples, 5, seed=3)
    assert len(drawn) == 5
    assert sorted(drawn, key=examples.index) == list(drawn)


@pytest.mark.parametrize("limit", [None, 20, 99])
def test_a_draw_without_need_takes_all(limit):
    assert draw_examples(make_examples(20), limit) == make_examples(20)


def test_a_draw_follows_its_seed():
    examples = make_examples(50)
    assert draw_examples(examples, 10, seed=1) == draw_examples(examples, 10, seed=1)
    assert draw_examples(examples, 10, seed=1) != draw_examples(examples, 10, seed=2)


def test_items_keep_all_their_columns(tmp_path):
    rows = [{"query": "q", "document": "d", "owner": "me", "size": 7}]
    [(item, values)] = load_items(write_jsonl(tmp_path / "a.jsonl", rows))
    assert (item.query, item.document) == ("q", "d")
    assert values == rows[0]


def test_items_need_no_rating_but_a_document(tmp_path):
    with pytest.raises(RefusedInputError, match=r"column 'document' is missing \(a\.jsonl:1\)"):
        load_items(write_jsonl(tmp_path / "a.jsonl", [{"query": "q"}]))


def test_a_query_in_two_splits_is_reported(tmp_path):
    assert load(tmp_path, changed(query_id="q5")).crossing_queries == {"q5"}
    assert load(tmp_path, ROWS).crossing_queries == frozenset()

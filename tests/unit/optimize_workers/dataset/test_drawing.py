"""Drawn splits: by query, stable where a file grows, refused where a row would move others, said where uneven."""

import json
import random

import pytest

from judge_serve.judging import RefusedInputError
from optimize_workers.dataset.splits import load_dataset, split_of_query
from tests.builders import SCALE

TRAIN, VAL, TEST = ([f"q{n}" for n in range(200) if split_of_query(f"q{n}") == s] for s in ("train", "val", "test"))


def row(query_id, query, number=0):
    made = {"query": query, "document": f"document {number}", "rating": number % 5 + 1}
    return made if query_id is None else {"query_id": query_id, **made}


def load(tmp_path, rows):
    path = tmp_path / "data.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return load_dataset(str(path), SCALE)


def splits_of(dataset):
    return {(e.item.query_id, e.item.document): e.split for part in dataset.by_split.values() for e in part}


def test_sixty_row_ids_of_one_text_are_in_one_split(tmp_path):
    rows = [row(f"row-{n}", "Reset my VPN" + "?" * (n % 3), n) for n in range(60)]
    dataset = load(tmp_path, rows)
    assert sorted(map(len, dataset.by_split.values())) == [0, 0, 60]
    assert set(dataset.queries) == {"row-0"}


def test_spellings_without_ids_are_in_the_split_of_the_first(tmp_path):
    texts = ["reset my vpn", "Reset my VPN", "reset  my vpn?", "RESET MY VPN!"]
    rows = [row(None, text, n) for n, text in enumerate(texts)]
    (first,) = splits_of(load(tmp_path, rows[:1])).values()
    assert set(splits_of(load(tmp_path, rows)).values()) == {first}


def test_ordinary_data_are_split_by_the_hash_of_their_ids_as_ever(tmp_path):
    rows = [row(f"q{n % 40}", f"query {n % 40}", n) for n in range(100)]
    for (query_id, _), split in splits_of(load(tmp_path, rows)).items():
        assert split == split_of_query(query_id)


@pytest.mark.parametrize("seed", range(25))
def test_a_file_that_grows_keeps_its_splits_or_is_refused(tmp_path, seed):
    draw = random.Random(seed)
    rows = [
        row(f"q{draw.randrange(40)}" if draw.random() < 0.9 else None, f"Query {draw.randrange(40)}", n)
        for n in range(40)
    ]
    before, num_refused = {}, 0
    for end in range(1, len(rows) + 1):
        try:
            after = splits_of(load(tmp_path, rows[:end]))
        except RefusedInputError as error:
            assert f"data.jsonl:{end} joins query" in str(error)
            num_refused += 1
            rows[end - 1] = row("alone", "a query of its own", 1_000 + end)
            continue
        assert before.items() <= after.items()
        before = after
    assert num_refused or len(before) == len(rows)


@pytest.mark.parametrize(
    "bridge", [lambda one, other: (one, f"text of {other}"), lambda one, other: (other, f"text of {one}")]
)
def test_a_row_that_would_move_others_is_refused_and_named(tmp_path, bridge):
    one, other = TRAIN[0], TEST[0]
    rows = [row(query, f"text of {query}", n) for n, query in enumerate([one, TRAIN[1], other])]
    load(tmp_path, rows)
    with pytest.raises(RefusedInputError) as caught:
        load(tmp_path, [*rows, row(*bridge(one, other), 9)])
    assert (
        f"1 rows join queries, by id or text, that are drawn into different splits, and would move one of them: "
        f"data.jsonl:4 joins query '{one}' of split 'train' (data.jsonl:1) and query '{other}' of split 'test' "
        "(data.jsonl:3); take these rows out, or give every row its split"
    ) in str(caught.value)


def test_all_such_rows_are_counted_and_some_are_named(tmp_path):
    rows = [row(query, f"text of {query}", n) for n, query in enumerate([*TRAIN[:5], *TEST[:5]])]
    bridges = [row(TRAIN[n], f"text of {TEST[n]}", 20 + n) for n in range(5)]
    with pytest.raises(
        RefusedInputError, match=r"5 rows join queries.*data\.jsonl:11 .*data\.jsonl:13 .*; and 2 more;"
    ):
        load(tmp_path, [*rows, *bridges])


def test_a_row_that_joins_queries_of_one_split_is_taken(tmp_path):
    rows = [row(TRAIN[0], "one"), row(TRAIN[1], "two", 1), row(TRAIN[0], "two", 2)]
    assert len(load(tmp_path, rows).by_split["train"]) == 3


def test_given_splits_are_kept_and_queries_across_them_reported(tmp_path):
    given = [
        ("a", "Reset my VPN", "train"),
        ("b", "reset my vpn?", "test"),
        ("c", "lunch", "val"),
        ("c", "meal", "val"),
    ]
    dataset = load(tmp_path, [{**row(i, text, n), "split": split} for n, (i, text, split) in enumerate(given)])
    assert {split: len(part) for split, part in dataset.by_split.items()} == {"train": 1, "val": 2, "test": 1}
    assert dataset.crossing_queries == {"a"}
    assert not dataset.is_drawn


def test_one_query_with_most_rows_is_told_where_a_split_is_empty(tmp_path):
    rows = [row(TRAIN[0], "the same", n) for n in range(60)] + [row(TRAIN[1], "another", 60)]
    message = (
        rf"split 'test' is empty, found \{{'train': 61\}}; query '{TRAIN[0]}' alone has 60 of 61 rows, "
        "and a query is never divided"
    )
    with pytest.raises(RefusedInputError, match=message):
        load(tmp_path, rows).require_split("test")


@pytest.mark.parametrize(
    ("one", "other", "is_near"),
    [
        ("how do i set up the vpn on a mac", "How do I set up the VPN on my Mac?", True),
        ("parental leave policy", "parental leave policies", True),
        ("reset password for the staging database", "reset pasword for the staging database", True),
        ("how do i get a new badge", "how do i get a new laptop", False),
        ("vpn", "how do i set up the vpn on a mac", False),
        ("opening hours", "parental leave", False),
    ],
)
@pytest.mark.parametrize(("first", "second"), [("train", "val"), ("train", "test"), ("val", "test")])
def test_near_copies_of_queries_across_splits_are_told_and_not_joined(tmp_path, one, other, is_near, first, second):
    rows = [{**row("a", one), "split": first}, {**row("b", other, 1), "split": second}]
    dataset = load(tmp_path, rows)
    assert dataset.near_queries == ({one: other} if is_near else {})
    assert dataset.crossing_queries == frozenset()


def test_near_copies_of_queries_within_a_split_are_not_told(tmp_path):
    rows = [
        {**row("a", "parental leave policy"), "split": "test"},
        {**row("b", "parental leave policys", 1), "split": "test"},
    ]
    assert load(tmp_path, rows).near_queries == {}


def test_the_fingerprint_of_the_test_split_is_of_its_rows_alone(tmp_path):
    given = ["train", "val", "test", "test"]
    rows = [{**row(f"q{n}", f"query {n}", n), "split": split} for n, split in enumerate(given)]
    known = load(tmp_path, rows).test_fingerprint
    more = [{**row("new", "new query", 9), "split": "train"}, *rows[::-1]]
    assert load(tmp_path, more).test_fingerprint == known
    assert load(tmp_path, rows[1:]).test_fingerprint == known
    assert load(tmp_path, [*rows[:3], {**rows[3], "rating": 5}]).test_fingerprint != known
    assert load(tmp_path, rows[:3]).test_fingerprint != known

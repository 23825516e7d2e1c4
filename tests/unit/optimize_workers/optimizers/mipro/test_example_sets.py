"""Demonstration sets: human ratings of training examples only, even, short, unlike each other, and never a leak."""

import json
import subprocess
import sys
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from judge_serve.judging import Example, Item
from optimize_workers.dataset.splits import SPLITS, Dataset, load_dataset
from optimize_workers.optimizers.mipro.example_sets import (
    MAX_TOKENS,
    draw_example_sets,
    estimate_tokens,
    to_demonstration,
)
from tests.builders import SCALE, make_example, make_examples

TRAIN = make_examples(60)


def draw(train=TRAIN, sizes=(4, 3, 5), num_sets=8, seed=0, **options):
    return draw_example_sets(train, SCALE, num_sets=num_sets, sizes=sizes, seed=seed, **options)


def test_a_demonstration_shows_the_human_rating_and_reason():
    shown = to_demonstration(make_example(4.0, reason="says so"))
    assert (shown.rating, shown.explanation) == (4, "says so")
    assert (shown.query, shown.document) == ("query 0 of train", "document 0 of train, evidence 4")


def test_an_example_is_shown_with_its_first_reason():
    example = Example(Item("q", "d", "q1", "d1"), 2.0, ("first", "second"))
    assert to_demonstration(example).explanation == "first"


def test_an_example_without_a_reason_is_shown_without_one():
    assert to_demonstration(make_example(4.0, reason="")).explanation == ""


def test_sets_hold_training_examples_as_they_are():
    assert all(example in TRAIN for chosen in draw() for example in chosen)


@pytest.mark.parametrize("size", [1, 2, 3, 4, 5, 6, 10])
def test_a_set_has_its_size_and_even_grades(size):
    for chosen in draw(sizes=(size,)):
        counts = Counter(example.gold_rating for example in chosen)
        assert len(chosen) == size
        assert max(counts.values()) - min(counts[rating] for rating in SCALE.ratings) <= 1


def test_a_missing_grade_is_left_out():
    train = [e for e in TRAIN if e.gold_rating != 2]
    assert {e.gold_rating for chosen in draw(train, sizes=(6,)) for e in chosen} == {1, 3, 4, 5}


def test_a_grade_of_few_examples_holds_the_others_back():
    train = [e for e in TRAIN if e.gold_rating != 2] + [make_example(2.0, number=99)]
    for chosen in draw(train, sizes=(12,)):
        counts = Counter(example.gold_rating for example in chosen)
        assert counts == {2: 1, 1: 2, 3: 2, 4: 2, 5: 2}


def test_no_query_stands_twice_in_a_set():
    train = [make_example(float(n % 5 + 1), number=n, query_id=f"q{n % 3}") for n in range(60)]
    for chosen in draw(train, sizes=(6,)):
        assert len({example.item.query_id for example in chosen}) == len(chosen) == 3


def test_a_query_under_two_ids_stands_once_only():
    train = [
        Example(Item("same", f"document {n}", f"q{n}", f"d{n}"), float(n % 5 + 1), ("why",), split="train")
        for n in range(20)
    ]
    assert {len(chosen) for chosen in draw(train)} == {1}


def test_sizes_take_turns():
    assert [len(chosen) for chosen in draw(num_sets=5)] == [4, 3, 5, 4, 3]


def test_a_set_follows_seed_and_number_only():
    assert draw(seed=7) == draw(seed=7, num_sets=20)[:8]
    assert draw(seed=7) != draw(seed=8)


def test_sets_differ():
    assert len(set(draw())) == 8


def test_the_same_sets_are_drawn_in_every_process():
    program = (
        "from tests.builders import SCALE, make_examples\n"
        "from optimize_workers.optimizers.mipro.example_sets import draw_example_sets\n"
        "drawn = draw_example_sets(make_examples(60), SCALE, num_sets=8, sizes=(4, 3, 5), seed=0)\n"
        "print([[e.item.doc_id for e in chosen] for chosen in drawn])"
    )
    command, other_hashes = [sys.executable, "-c", program], {"PYTHONHASHSEED": "1"}
    drawn = subprocess.run(command, env=other_hashes, capture_output=True, text=True, check=True).stdout
    assert drawn.strip() == str([[e.item.doc_id for e in chosen] for chosen in draw()])


def test_examples_without_usable_rating_or_reason_make_no_sets():
    assert draw([make_example(3.5), make_example(3.0, reason="")]) == []


def test_where_reasons_are_not_needed_examples_without_one_are_used():
    train = [make_example(float(n % 5 + 1), number=n, reason="") for n in range(20)]
    assert draw(train) == []
    assert [len(chosen) for chosen in draw(train, needs_reason=False, num_sets=3)] == [4, 3, 5]


# --- coverage ---


def test_the_examples_of_a_set_are_unlike_each_other():
    topics = ["leave salary contract", "router cable network", "invoice refund payment", "garden tree flower"]
    train = [
        Example(Item(f"{topics[n % 4]} {n}", f"document {n}", f"q{n}", f"d{n}"), float(n // 4 % 2 + 4), ("why",))
        for n in range(80)
    ]
    for chosen in draw(train, sizes=(4,)):
        assert len({example.item.query.split()[0] for example in chosen}) == 4


def test_no_two_documents_of_a_set_are_near_copies():
    text = " ".join(f"word{number}" for number in range(30))
    train = [
        make_example(float(n % 5 + 1), number=n, document=f"{text}, number {n}" if n % 2 else None) for n in range(60)
    ]
    for chosen in draw(train, sizes=(6,)):
        assert len(chosen) == 6
        assert sum(example.item.document.startswith(text) for example in chosen) <= 1


def test_near_copies_alone_make_sets_of_one():
    text = " ".join(f"word{number}" for number in range(30))
    train = [make_example(float(n % 5 + 1), number=n, document=f"{text}, number {n}") for n in range(20)]
    assert {len(chosen) for chosen in draw(train)} == {1}


# --- length ---


def lengthy(number, num_chars, gold=None):
    """An example whose document has its own words and a length."""
    return make_example(gold or number % 5 + 1.0, number=number, document=(f"w{number} " * num_chars)[:num_chars])


@pytest.mark.parametrize("num_chars", [300, 700, 1_500, 4_000])
def test_a_set_stays_within_its_tokens(num_chars):
    drawn = draw([lengthy(n, num_chars) for n in range(60)], sizes=(6,))
    assert drawn
    for chosen in drawn:
        assert sum(estimate_tokens(to_demonstration(example)) for example in chosen) <= MAX_TOKENS


def test_what_fits_no_prompt_is_not_shown():
    assert draw([lengthy(n, 3 * MAX_TOKENS) for n in range(60)]) == []


def test_a_long_example_does_not_push_out_the_others():
    train = [lengthy(n, 600) for n in range(40)] + [lengthy(n, 100) for n in range(40, 80)]
    assert {len(chosen) for chosen in draw(train, sizes=(10,))} == {10}


def test_a_grade_of_long_documents_is_still_shown():
    train = [lengthy(n, 1_500 if n % 5 == 0 else 100) for n in range(60)]
    for chosen in draw(train, sizes=(5,)):
        assert {example.gold_rating for example in chosen} == {1, 2, 3, 4, 5}


def test_long_examples_are_left_where_a_grade_has_short_ones():
    train = [lengthy(n, 1_000 if n < 30 else 200) for n in range(70)]
    assert {len(e.item.document) for chosen in draw(train) for e in chosen} < set(range(300))


@pytest.mark.parametrize("text", ["plain words", "\u9000\u8d27\u653f\u7b56", "\U0001f600", "a < b"])
def test_tokens_are_estimated_from_bytes(text):
    example = make_example(3.0, document=text * 100)
    assert estimate_tokens(to_demonstration(example)) >= len((text * 100).encode()) / 3


# --- leaks ---


def words(base, number):
    return " ".join(f"base{base}word{n}" for n in range(number))


LONG = [words(base, 60) for base in range(3)]  # long enough for two added words to leave near copies
SHORT = [words(base, 3) for base in range(3, 6)]
CHANGES = [str, str.upper, lambda text: f"- {text.replace(' ', ', ')}!", lambda text: text.replace(" ", "\n")]
ADDITIONS = [lambda text: f"so {text}", lambda text: text.replace(" ", " so ", 1), lambda text: f"{text} so"]
documents = st.one_of(
    st.builds(lambda text, change: change(text), st.sampled_from(LONG + SHORT), st.sampled_from(CHANGES)),
    st.builds(
        lambda text, change, add: change(add(text)),
        st.sampled_from(LONG),
        st.sampled_from(CHANGES),
        st.sampled_from(ADDITIONS),
    ),
)
rows = st.lists(
    st.tuples(documents, st.sampled_from(SPLITS), st.integers(1, 5), st.sampled_from([None, "id-1", "id-2"])),
    min_size=1,
    max_size=25,
)


def base_of(text):
    """By construction all documents of a base are near copies, and no others are."""
    return text.lower().split("base")[1][0]


@given(rows, st.integers(0, 5), st.booleans())
def test_no_document_of_another_split_nor_a_near_copy_is_ever_shown(tmp_path_factory, rows, seed, needs_reason):
    dataset = dataset_of(tmp_path_factory.getbasetemp(), rows)
    held_out = [e.item for split in ("val", "test") for e in dataset.by_split[split]]
    hidden, hidden_ids = {base_of(item.document) for item in held_out}, {item.doc_id for item in held_out}
    train = dataset.for_optimizers().train
    assert hidden_ids.isdisjoint(e.item.doc_id for e in train)
    drawn = draw(train, seed=seed, needs_reason=needs_reason)
    assert hidden.isdisjoint(base_of(e.item.document) for chosen in drawn for e in chosen)
    for chosen in drawn:
        assert len({base_of(example.item.document) for example in chosen}) == len(chosen)


@given(rows)
def test_only_what_leaks_leaves_train(tmp_path_factory, rows):
    rows = [(text, split, rating, None) for text, split, rating, _ in rows]
    dataset = dataset_of(tmp_path_factory.getbasetemp(), rows)
    hidden = {base_of(e.item.document) for split in ("val", "test") for e in dataset.by_split[split]}
    kept = [e for e in dataset.by_split["train"] if base_of(e.item.document) not in hidden]
    assert list(dataset.for_optimizers().train) == kept


def dataset_of(folder, rows) -> Dataset:
    """The data set of (document, split, rating, doc_id) rows, through a file as in real life."""
    lines = [
        {"query": f"query {n}", "document": text, "rating": rating, "explanation": "why", "split": split}
        | ({"doc_id": doc_id} if doc_id else {})
        for n, (text, split, rating, doc_id) in enumerate(rows)
    ]
    path = folder / "leak.jsonl"
    path.write_text("\n".join(map(json.dumps, lines)), encoding="utf-8")
    return load_dataset(str(path), SCALE)

"""The shipped examples: enough, balanced, honest about splits, and the judge that they are for."""

import json
from collections import Counter

import pytest

from cluster.endpoint.config import EXAMPLES
from judge_serve.judging import AnswerMode, load_judge_file
from judge_serve.judging.rendering import render_messages
from optimize_workers.dataset.splits import load_dataset, load_items
from optimize_workers.guardrails import Guardrails
from optimize_workers.library.bullets import read_bullets

ROWS = [json.loads(line) for line in (EXAMPLES / "workplace.jsonl").read_text(encoding="utf-8").splitlines()]
JUDGE_FILE = load_judge_file(EXAMPLES / "judge.toml")


def test_the_judge_for_expected_ratings_shows_solved_training_pairs(dataset):
    expected = load_judge_file(EXAMPLES / "judge-expected.toml")
    shown = expected.program.demonstrations
    assert expected.task == JUDGE_FILE.task
    train = {e.item.document: e for e in dataset.by_split["train"]}
    assert [one.rating for one in shown] == [train[one.document].gold_rating for one in shown]
    dataset.require_unseen(shown)


@pytest.fixture(scope="module")
def dataset():
    return load_dataset(str(EXAMPLES / "workplace.jsonl"), JUDGE_FILE.task.scale)


def test_there_are_enough_queries_and_pairs():
    assert len({row["query_id"] for row in ROWS}) >= 40
    assert len(ROWS) >= 320


def test_every_row_has_all_columns():
    columns = {"query_id", "doc_id", "query", "document", "rating", "explanation", "kind", "trap", "split"}
    assert {frozenset(row) for row in ROWS} == {frozenset(columns)}
    assert not [row["doc_id"] for row in ROWS if not all(str(row[column]).strip() for column in columns)]


def test_all_kinds_of_document_occur_about_equally_often():
    shares = Counter(row["kind"] for row in ROWS)
    assert set(shares) == {"wiki", "file", "message", "ticket", "calendar"}
    assert all(0.12 <= count / len(ROWS) <= 0.28 for count in shares.values()), shares


def test_all_grades_occur_about_equally_often():
    shares = Counter(row["rating"] for row in ROWS)
    assert set(shares) == {1, 2, 3, 4, 5}
    assert all(0.15 <= count / len(ROWS) <= 0.25 for count in shares.values()), shares


@pytest.mark.parametrize("split", ["train", "val", "test"])
def test_every_split_holds_all_grades_and_kinds(split):
    rows = [row for row in ROWS if row["split"] == split]
    assert {row["rating"] for row in rows} == {1, 2, 3, 4, 5}
    assert len({row["kind"] for row in rows}) == 5


@pytest.mark.parametrize("trap", ["keyword", "near_miss", "stale"])
def test_traps_occur_in_every_split(trap):
    counts = Counter(row["split"] for row in ROWS if row["trap"] == trap)
    assert all(counts[split] >= 3 for split in ("train", "val", "test")), counts


def test_no_document_is_repeated():
    assert len({row["document"].strip().lower() for row in ROWS}) == len(ROWS)
    assert len({row["doc_id"] for row in ROWS}) == len(ROWS)


def test_a_query_has_one_text_one_split_and_several_grades():
    texts, splits, grades = {}, {}, {}
    for row in ROWS:
        texts.setdefault(row["query_id"], set()).add(row["query"])
        splits.setdefault(row["query_id"], set()).add(row["split"])
        grades.setdefault(row["query_id"], set()).add(row["rating"])
    assert all(len(found) == 1 for found in (*texts.values(), *splits.values()))
    assert all(len(found) >= 3 for found in grades.values())
    assert len({text for found in texts.values() for text in found}) == len(texts)


def test_queries_are_split_28_10_10(dataset):
    queries = {split: {e.item.query_id for e in part} for split, part in dataset.by_split.items()}
    assert {split: len(found) for split, found in queries.items()} == {"train": 28, "val": 10, "test": 10}


def test_no_document_crosses_splits(dataset):
    assert dataset.crossing_docs == frozenset()
    assert len(dataset.for_optimizers().train) == len(dataset.by_split["train"])


def test_every_pair_has_a_reason_worth_showing(dataset):
    reasons = [e.explanation for part in dataset.by_split.values() for e in part]
    assert all(20 <= len(reason) <= 300 for reason in reasons)
    assert len(set(reasons)) > 0.9 * len(reasons)


def test_the_shipped_judge_asks_for_one_json_object(dataset):
    item = dataset.by_split["train"][0].item
    system = render_messages(JUDGE_FILE.task, JUDGE_FILE.program, AnswerMode.GENERATE, item)[0]["content"]
    assert system.endswith(
        "Answer with exactly one JSON object and nothing else: "
        '{"rating": <integer from 1 to 5>, "explanation": "<one short sentence>"}'
    )


def test_the_shipped_judge_shows_its_whole_scale_and_instruction(dataset):
    item = dataset.by_split["train"][0].item
    system = render_messages(JUDGE_FILE.task, JUDGE_FILE.program, AnswerMode.GENERATE, item)[0]["content"]
    assert all(f"{n} = {anchor}" in system for n, anchor in enumerate(JUDGE_FILE.task.scale.anchors, start=1))
    assert JUDGE_FILE.program.instruction in system


def test_the_shipped_judge_starts_without_help():
    assert (JUDGE_FILE.program.demonstrations, JUDGE_FILE.program.bullets) == ((), ())
    assert JUDGE_FILE.sampling.temperature == 0.0


def test_the_unlabelled_pairs_load_and_are_new(dataset):
    items = [item for item, _ in load_items(str(EXAMPLES / "unlabelled.parquet"))]
    assert len(items) >= 8
    labelled = {e.item.document for part in dataset.by_split.values() for e in part}
    assert labelled.isdisjoint(item.document for item in items)
    assert not any("rating" in values for _, values in load_items(str(EXAMPLES / "unlabelled.parquet")))


def test_the_shipped_bullets_are_for_the_shipped_judge(dataset):
    """Each passes the guardrails on the shipped examples, so that a search judges all of them."""
    data, task = dataset.for_optimizers(), JUDGE_FILE.task
    guard = Guardrails(
        task.scale, JUDGE_FILE.program.instruction, [*data.train, *data.val], own_texts=[task.description]
    )
    bullets = read_bullets(EXAMPLES / "bullets.txt")
    assert len(bullets) >= 12
    assert [guard.explain(bullet.text) for bullet in bullets] == [None] * len(bullets)

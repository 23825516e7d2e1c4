"""Openings of a test split: counted by its own rows, whatever is added elsewhere, with those of earlier releases."""

import json

import pytest

from cluster.runs.run import count_opening, openings_of
from optimize_workers.dataset.splits import load_dataset
from optimize_workers.ledger import Ledger
from tests.builders import SCALE

ROWS = [
    {"query_id": f"q{n}", "query": f"query {n}", "document": f"document {n}", "rating": 3, "split": split}
    for n, split in enumerate(["train", "val", "test", "test"])
]


@pytest.fixture
def ledger(tmp_path):
    ledger = Ledger(f"sqlite:///{tmp_path / 'ledger.db'}")
    yield ledger
    ledger.close()


def load(tmp_path, rows):
    path = tmp_path / "data.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return load_dataset(str(path), SCALE)


def test_openings_are_counted_on_where_other_splits_change(tmp_path, ledger):
    grown = [*ROWS, {**ROWS[0], "document": "new"}]
    relabelled = [{**ROWS[0], "rating": 5}, *ROWS[1:]]
    found = [
        count_opening(load(tmp_path, rows), "test", ledger, "evaluate", "out") for rows in (ROWS, grown, relabelled)
    ]
    assert found == [1, 2, 3]
    other = load(tmp_path, [*ROWS, {**ROWS[2], "document": "new"}])
    assert openings_of(other, ledger) == 0


def test_openings_of_earlier_releases_count(tmp_path, ledger):
    dataset = load(tmp_path, ROWS)
    ledger.record_test_opening(dataset.fingerprint, "evaluate", "out")
    assert count_opening(dataset, "test", ledger, "evaluate", "out") == 2


def test_data_of_test_rows_alone_are_counted_once(tmp_path, ledger):
    assert count_opening(load(tmp_path, ROWS[2:]), "test", ledger, "evaluate", "out") == 1


def test_a_run_is_recorded_by_its_whole_path(tmp_path, ledger, monkeypatch):
    monkeypatch.chdir(tmp_path)
    dataset = load(tmp_path, ROWS)
    count_opening(dataset, "test", ledger, "evaluate", (tmp_path / "out").relative_to(tmp_path))
    assert ledger.fingerprint_opened_by(str(tmp_path.resolve() / "out")) == dataset.test_fingerprint

"""The ledger: openings of a test split, counted per data set over the store's whole life."""

import pytest

from judge_serve.judging import RefusedInputError
from optimize_workers.ledger import Ledger


@pytest.fixture
def url(tmp_path):
    return f"sqlite:///{tmp_path / 'ledger.db'}"


def test_openings_are_counted_per_data_set(url):
    ledger = Ledger(url)
    for fingerprint in ("one", "one", "other"):
        ledger.record_test_opening(fingerprint, "evaluate", "out/run")
    assert [ledger.count_test_openings(name) for name in ("one", "other", "third")] == [2, 1, 0]
    ledger.close()


def test_openings_outlive_the_process(url):
    for _ in range(2):
        ledger = Ledger(url)
        ledger.record_test_opening("one", "optimize", "out/run")
        ledger.close()
    ledger = Ledger(url)
    assert ledger.count_test_openings("one") == 2
    ledger.close()


def test_a_long_run_path_is_cut(url):
    ledger = Ledger(url)
    ledger.record_test_opening("one", "evaluate", "x" * 10_000)
    assert ledger.count_test_openings("one") == 1
    ledger.close()


@pytest.mark.parametrize(
    "url",
    ["no url", "nosuch://host/db", "sqlite:////no/such/folder/ledger.db", "mssql+nodriver://host/db", "oracle://h/db"],
)
def test_a_store_that_cannot_be_opened_is_refused_with_advice(url):
    with pytest.raises(RefusedInputError, match=r"store cannot be opened \(.*\); check RELEVANCE_JUDGE_STORE"):
        Ledger(url)

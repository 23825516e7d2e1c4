"""Reading a run back: what was written comes back, and what cannot be reviewed is refused with advice."""

from dataclasses import replace

import pyarrow.parquet as pq
import pytest

from cluster.runs.folder import RunFolder
from cluster.runs.forgetting import forget_document
from cluster.runs.recorded import read_run
from judge_serve.judging import RefusedInputError, Release
from optimize_workers.ledger import Ledger
from tests.builders import JUDGE
from tests.recorded_runs import judge_pairs, make_pairs, write_run


def test_judgments_and_examples_come_back_in_order(tmp_path):
    pairs = [replace(pair, gold_ratings=(1.0, 2.0)) for pair in make_pairs(5)]
    judgments = judge_pairs(pairs)
    run = read_run(write_run(tmp_path / "run", pairs, judgments))
    assert run.examples == pairs
    assert run.judgments == [replace(judgment, program="") for judgment in judgments]
    assert (run.arm, run.judge, run.fingerprint, run.splits) == ("judge", JUDGE, "f" * 64, ("train",))
    assert (run.others, run.num_forgotten) == ([], 0)


def test_only_the_asked_splits_are_read(tmp_path):
    pairs = [*make_pairs(3), *make_pairs(2, split="val"), *make_pairs(4, split="test")]
    folder = write_run(tmp_path / "run", pairs)
    assert read_run(folder).splits == ("train", "val")
    assert len(read_run(folder, None, ("test",)).examples) == 4


def test_the_winner_is_read_and_the_other_arms_stand_beside(tmp_path):
    pairs = make_pairs(3)
    folder = RunFolder.create(tmp_path / "run", {})
    release = Release(judge=JUDGE)
    arms = [(arm, release.id, judge_pairs(pairs), pairs) for arm in ("baseline", "winner")]
    folder.write_judgments(arms)
    folder.write_text("release.json", release.to_json())
    folder.write_json("result.json", {"winner": {"dataset": {"fingerprint": "abc"}}})
    run = read_run(folder.path)
    assert (run.arm, run.fingerprint, len(run.judgments), len(run.others)) == ("winner", "abc", 3, 3)
    assert read_run(folder.path, "baseline").arm == "baseline"
    with pytest.raises(RefusedInputError, match="has no judgments of 'nosuch', found baseline, winner"):
        read_run(folder.path, "nosuch")


def test_a_run_on_test_pairs_is_refused_with_what_to_do(tmp_path):
    folder = write_run(tmp_path / "run", make_pairs(3, split="test"))
    with pytest.raises(
        RefusedInputError,
        match=r"split test only.*evaluate DATA.*--release .*release_document.json.*--split train.*or take --split test",
    ):
        read_run(folder)


def test_a_split_that_was_not_judged_is_refused(tmp_path):
    with pytest.raises(RefusedInputError, match="judged split train only, expected val; choose another --split"):
        read_run(write_run(tmp_path / "run", make_pairs(3)), None, ("val",))


@pytest.mark.parametrize("missing", ["result.json", "release_document.json", "judgments.parquet", "examples.parquet"])
def test_a_folder_that_is_no_finished_run_is_refused(tmp_path, missing):
    folder = write_run(tmp_path / "run", make_pairs(3))
    (folder / missing).unlink()
    with pytest.raises(RefusedInputError, match=str(folder)):
        read_run(folder)


def test_forgotten_documents_are_left_out_and_counted(tmp_path, home):
    folder = write_run(tmp_path / "run", make_pairs(3))
    ledger = Ledger(f"sqlite:///{home / 'ledger.db'}")
    ledger.record_run(str(folder), "evaluate")
    forget_document("train-d1", ledger, home)
    ledger.close()
    run = read_run(folder)
    assert [example.item.doc_id for example in run.examples] == ["train-d0", "train-d2"]
    assert run.num_forgotten == 1


def test_a_run_of_an_older_version_without_single_ratings_is_read(tmp_path):
    folder = write_run(tmp_path / "run", make_pairs(3))
    table = pq.read_table(folder / "examples.parquet").drop_columns(["gold_ratings"])
    pq.write_table(table, folder / "examples.parquet")
    assert read_run(folder).examples[0].gold_ratings == ()


def labelled_twice():
    """Three pairs, the first of them with two labels, and judgments in the order of the labels."""
    first, *others = make_pairs(3)
    again = replace(first, gold_rating=5.0, gold_ratings=(5.0, 5.0), explanations=("it is the answer",))
    pairs = [first, others[0], again, others[1]]
    assert first.gold_rating != again.gold_rating
    return pairs


def test_a_pair_that_is_labelled_twice_keeps_both_labels(tmp_path):
    pairs = labelled_twice()
    folder = write_run(tmp_path / "run", pairs)
    assert read_run(folder).examples == pairs
    assert pq.read_table(folder / "examples.parquet").num_rows == 4


def test_arms_that_judged_the_same_examples_share_their_rows(tmp_path):
    pairs = labelled_twice()
    folder = RunFolder.create(tmp_path / "run", {})
    release = Release(judge=JUDGE)
    again = [replace(judgment, occurrence=1) for judgment in judge_pairs(pairs)]
    arms = [("baseline", release.id, [*judge_pairs(pairs), *again], [*pairs, *pairs])]
    folder.write_judgments([*arms, ("winner", release.id, judge_pairs(pairs), pairs)])
    folder.write_text("release.json", release.to_json())
    folder.write_json("result.json", {"winner": {"dataset": None}})
    assert pq.read_table(folder.path / "examples.parquet").num_rows == 4
    assert read_run(folder.path, "winner").examples == read_run(folder.path, "baseline").examples == pairs


def test_a_run_of_an_older_version_with_one_row_for_two_labels_shows_no_reason_of_another_label(tmp_path):
    pairs = labelled_twice()
    folder = write_run(tmp_path / "run", pairs)
    table = pq.read_table(folder / "examples.parquet")
    pq.write_table(table.take([2, 1, 3]), folder / "examples.parquet")  # older versions kept the last label
    first, _, again, _ = read_run(folder).examples
    assert (first.gold_rating, first.explanations, first.gold_ratings) == (pairs[0].gold_rating, (), ())
    assert again == pairs[2]


@pytest.mark.parametrize(
    ("file", "column"), [("judgments.parquet", "rating"), ("judgments.parquet", "split"), ("examples.parquet", "query")]
)
def test_a_table_without_a_column_that_is_needed_is_refused_by_its_name(tmp_path, file, column):
    folder = write_run(tmp_path / "run", make_pairs(3))
    pq.write_table(pq.read_table(folder / file).drop_columns([column]), folder / file)
    with pytest.raises(RefusedInputError, match=f"{file} has no column {column}"):
        read_run(folder)


def test_columns_that_only_some_versions_write_may_be_missing(tmp_path):
    folder = write_run(tmp_path / "run", make_pairs(3))
    lean = {"judgments.parquet": 7, "examples.parquet": 6}
    kept = ["query_id", "doc_id", "split", "gold_rating", "rating", "model", "mode", "query", "document"]
    for name, num_columns in lean.items():
        table = pq.read_table(folder / name)
        table = table.select([column for column in table.column_names if column in kept])
        assert table.num_columns == num_columns
        pq.write_table(table, folder / name)
    run = read_run(folder)
    assert (run.arm, [judgment.rating for judgment in run.judgments]) == ("judge", [5, 4, 4])
    assert run.examples[0].explanations == ()


def test_judgments_without_their_example_and_results_that_are_none_are_refused(tmp_path):
    folder = write_run(tmp_path / "run", make_pairs(3))
    table = pq.read_table(folder / "examples.parquet")
    pq.write_table(table.slice(1), folder / "examples.parquet")
    with pytest.raises(RefusedInputError, match=r"examples\.parquet has no document 'train-d0' for query 'train-q0'"):
        read_run(folder)
    (folder / "result.json").write_text("[]")
    with pytest.raises(RefusedInputError, match=r"result\.json holds no JSON object"):
        read_run(folder)

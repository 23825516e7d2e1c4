"""The commands `bullets list`, `export`, `import` and `distill`."""

import getpass
import json
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from click.testing import CliRunner

from cluster.commands import app
from cluster.commands.running import EXIT_REFUSED
from cluster.review.desk import Desk, Written
from cluster.runs.recorded import read_run
from judge_serve.judging import EngineReply
from optimize_workers.ledger import Ledger
from optimize_workers.library.bullets import read_bullets
from optimize_workers.library.reviews import MAX_EXPLANATION_CHARS, EventKind, ReviewEvent, reviews_of
from tests.contract.endpoints import Answer, Endpoint, completion
from tests.recorded_runs import make_pairs, write_run

NOW = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
RULE = "A page that only mentions the subject is no answer."
OLD = "A page that is out of date misleads."


def invoke(*arguments, status=0):
    done = CliRunner().invoke(app, ["bullets", *map(str, arguments)], catch_exceptions=False)
    assert done.exit_code == status, done.output
    return done


def told(*arguments):
    return json.loads(invoke(*arguments, "--json").stdout)


@pytest.fixture
def ledger(home):
    with closing(Ledger(f"sqlite:///{home / 'ledger.db'}")) as opened:
        yield opened


@pytest.fixture
def run(tmp_path):
    return write_run(tmp_path / "run", [*make_pairs(6), *make_pairs(2, split="val")])


def explain(ledger, run, number, text, *, split="train", accept=False):
    """A reviewer's explanation of a pair, accepted or open."""
    event = ReviewEvent(
        str(run), f"{split}-q{number}", f"{split}-d{number}", split, EventKind.EXPLAINED, {"text": text}, "ada", NOW
    )
    ledger.add_review_events([event])
    if accept:
        ledger.add_review_events([replace(event, kind=EventKind.ACCEPTED)])


def states(ledger, run):
    """State by document."""
    return {key.doc_id: review for key, review in reviews_of(ledger.review_events(str(run))).items()}


# --- the library ---


def test_the_library_lists_accepted_bullets(ledger, run):
    explain(ledger, run, 0, RULE, accept=True)
    explain(ledger, run, 1, OLD)
    result = told("list")
    (bullet,) = result["bullets"]
    assert (bullet["text"], bullet["author"], bullet["sources"][0]["doc_id"]) == (RULE, "ada", "train-d0")
    assert bullet["id"] in invoke("list").stdout


def test_a_text_learned_from_a_held_out_pair_does_not_stand_for_a_similar_one_of_train(ledger, run):
    explain(ledger, run, 0, f"{RULE} indeed", accept=True, split="val")
    explain(ledger, run, 1, RULE, accept=True)
    result = told("list")
    assert ([bullet["text"] for bullet in result["bullets"]], result["held_out"]) == ([RULE], 1)


def test_what_was_learned_from_held_out_pairs_is_left_out_unless_asked_for(ledger, run, tmp_path):
    explain(ledger, run, 0, RULE, accept=True)
    explain(ledger, run, 0, RULE, accept=True, split="val")
    explain(ledger, run, 1, OLD, accept=True, split="val")
    result = told("list")
    assert [[source["split"] for source in bullet["sources"]] for bullet in result["bullets"]] == [["train"]]
    assert result["held_out"] == 1
    assert "left out: 1 learned from val or test" in invoke("list").stdout
    assert told("export", tmp_path / "b.jsonl") == {"bullets": 1, "held_out": 1, "path": str(tmp_path / "b.jsonl")}
    assert [bullet.text for bullet in read_bullets(tmp_path / "b.jsonl")] == [RULE]
    assert len(told("list", "--all-splits")["bullets"]) == 2


def test_bullets_that_say_the_same_are_exported_once(ledger, run, tmp_path):
    explain(ledger, run, 0, RULE, accept=True)
    explain(ledger, run, 1, RULE.replace("is no answer.", "is no answer!"), accept=True)
    told("export", tmp_path / "b.jsonl")
    (bullet,) = read_bullets(tmp_path / "b.jsonl")
    assert [source.doc_id for source in bullet.sources] == ["train-d0", "train-d1"]


def test_an_export_does_not_overwrite_and_is_not_empty(ledger, run, tmp_path):
    assert "the library is empty" in invoke("export", tmp_path / "b.jsonl", status=EXIT_REFUSED).stderr
    explain(ledger, run, 0, RULE, accept=True)
    (tmp_path / "b.jsonl").write_text("mine")
    assert "exists; choose another name" in invoke("export", tmp_path / "b.jsonl", status=EXIT_REFUSED).stderr
    assert "ends in .jsonl" in invoke("export", tmp_path / "b.txt", status=EXIT_REFUSED).stderr


def test_an_export_is_imported_into_another_home_as_it_was(ledger, run, tmp_path, monkeypatch):
    explain(ledger, run, 0, RULE, accept=True)
    explain(ledger, run, 1, RULE, accept=True)
    told("export", tmp_path / "b.jsonl")
    (tmp_path / "other").mkdir()
    monkeypatch.setenv("RELEVANCE_JUDGE_HOME", str(tmp_path / "other"))
    assert told("import", tmp_path / "b.jsonl")["imported"] == 1
    assert told("import", tmp_path / "b.jsonl")["imported"] == 0
    told("export", tmp_path / "c.jsonl")
    assert (tmp_path / "c.jsonl").read_text() == (tmp_path / "b.jsonl").read_text()


def test_a_forgotten_document_takes_its_reason_out_of_an_imported_bullet(ledger, run, tmp_path):
    explain(ledger, run, 0, RULE, accept=True)
    explain(ledger, run, 1, RULE, accept=True)
    told("export", tmp_path / "b.jsonl")
    ledger.forget("train-d0")
    (bullet,) = told("list")["bullets"]
    assert [source["doc_id"] for source in bullet["sources"]] == ["train-d1"]
    ledger.forget("train-d1")
    assert told("list")["bullets"] == []


def test_plain_lines_are_imported_without_sources(ledger, tmp_path):
    (tmp_path / "b.txt").write_text(f"# ours\n{RULE}\n{OLD}\n")
    assert told("import", tmp_path / "b.txt")["imported"] == 2
    assert [(bullet["text"], bullet["sources"]) for bullet in told("list")["bullets"]] == [(RULE, []), (OLD, [])]


# --- removing ---


def ids():
    return [bullet["id"] for bullet in told("list")["bullets"]]


def test_a_removed_bullet_is_gone_with_who_and_when_and_the_pair_says_so(ledger, run):
    explain(ledger, run, 0, RULE, accept=True)
    explain(ledger, run, 1, OLD, accept=True)
    rule, old = ids()
    assert told("remove", rule) == {"removed": [{"id": rule, "text": RULE}]}
    assert ids() == [old]
    event = ledger.review_events()[-1]
    assert (event.kind, event.doc_id, event.author) == (EventKind.REMOVED, "train-d0", getpass.getuser())
    assert {doc_id: str(one.decision) for doc_id, one in states(ledger, run).items()} == {
        "train-d0": "removed",
        "train-d1": "accepted",
    }
    assert f"removed  {old}" in invoke("remove", old).stdout and ids() == []


def test_accepting_or_importing_again_brings_a_removed_bullet_back(ledger, run, tmp_path):
    explain(ledger, run, 0, RULE, accept=True)
    told("export", tmp_path / "b.jsonl")
    (rule,) = ids()
    told("remove", rule)
    assert told("import", tmp_path / "b.jsonl")["imported"] == 1 and ids() == [rule]
    told("remove", rule)
    assert ids() == []
    explain(ledger, run, 0, RULE, accept=True)
    assert ids() == [rule]


def test_a_bullet_is_removed_with_those_that_say_the_same(ledger, run):
    explain(ledger, run, 0, RULE, accept=True)
    explain(ledger, run, 1, RULE.replace("is no answer.", "is no answer!"), accept=True)
    explain(ledger, run, 2, OLD, accept=True)
    told("remove", ids()[0])
    assert [bullet["text"] for bullet in told("list", "--all-splits")["bullets"]] == [OLD]


def test_an_unknown_id_is_refused_and_nothing_is_removed(ledger, run):
    explain(ledger, run, 0, RULE, accept=True)
    done = invoke("remove", *ids(), "nosuch", status=EXIT_REFUSED)
    assert "the library holds no bullet nosuch; 'relevance-judge bullets list" in done.stderr
    assert len(ids()) == 1
    assert "--ids" in invoke("remove", status=EXIT_REFUSED).stderr


def test_a_removed_bullet_can_be_forgotten(ledger, run):
    explain(ledger, run, 0, RULE, accept=True)
    told("remove", *ids())
    ledger.forget("train-d0")
    assert not any(event.text for event in ledger.review_events())


# --- distilling ---


@pytest.fixture
def endpoint():
    with closing(Endpoint()) as started:
        yield started


def distilled(endpoint, run, reply, *arguments):
    endpoint.answer = Answer(json.dumps(completion(EngineReply(reply, "stop", 10, 5))).encode())
    return told("distill", run, "--reflection-model", f"{endpoint.url}#writer", *arguments)


def test_a_model_writes_a_line_for_review(ledger, run, endpoint):
    explain(ledger, run, 0, OLD)
    result = distilled(endpoint, run, "Lower the rating of what is out of date.")
    assert (result["explanations"], result["proposed"], result["refused"]) == (1, 1, [])
    assert OLD in endpoint.received[0].body["messages"][0]["content"]
    review = states(ledger, run)["train-d0"]
    assert (review.bullet, review.bullet_by) == ("Lower the rating of what is out of date.", "writer")
    assert (str(review.decision), review.explanation) == ("open", OLD)
    assert told("list")["bullets"] == []  # people accept


def test_a_refused_line_is_told_and_the_own_one_stays(ledger, run, endpoint):
    explain(ledger, run, 0, OLD)
    result = distilled(endpoint, run, "Rate from 1 to 10.")
    assert (result["refused"][0]["reason"], result["proposed"]) == ("scale_change", 0)
    assert states(ledger, run)["train-d0"].bullet == OLD


def test_only_open_explanations_of_training_pairs_are_distilled(ledger, run, endpoint):
    explain(ledger, run, 0, OLD, split="val")
    explain(ledger, run, 1, RULE, accept=True)
    done = invoke("distill", run, "--reflection-model", f"{endpoint.url}#writer", status=EXIT_REFUSED)
    assert "no training pair has an explanation to distill" in done.stderr
    assert endpoint.received == []


def test_the_labels_own_reasons_are_distilled_where_asked_for(ledger, run, endpoint):
    result = distilled(endpoint, run, "Prefer pages that answer.", "--labels", "--limit", "3")
    assert result["explanations"] == 3
    reviews = states(ledger, run)
    assert {(review.explanation, review.explained_by) for review in reviews.values()} == {("fits the need", "labels")}
    assert {review.bullet for review in reviews.values()} == {"Prefer pages that answer."}


def test_a_reflection_is_recorded_and_forgotten_with_the_document_that_it_was_about(ledger, run, endpoint):
    explain(ledger, run, 0, OLD)
    distilled(endpoint, run, "Lower the rating of what is out of date.")
    assert ledger.stats()["reflections"] == 1
    assert ledger.forget("train-d0").reflections == 1


def test_without_a_model_the_own_lines_are_checked_and_stay(ledger, run):
    explain(ledger, run, 0, OLD)
    explain(ledger, run, 1, "Use a scale of 1 to 10.")
    result = told("distill", run)
    assert [bullet["text"] for bullet in result["bullets"]] == [OLD]
    assert [line["reason"] for line in result["refused"]] == ["scale_change"]
    assert (result["proposed"], result["writer"]) == (0, None)
    done = invoke("distill", run)
    assert "refused    scale_change" in done.stdout and "reviewers' own lines stand" in done.stdout
    assert "no --reflection-model was named: reviewers' lines are taken as they are" in done.stderr


def test_with_a_model_that_is_too_weak_to_write_it_is_not_started_and_the_own_lines_stay(ledger, run):
    explain(ledger, run, 0, OLD)
    done = invoke("distill", run, "--reflection-model", "embedded", "--json")
    result = json.loads(done.stdout)
    assert ([bullet["text"] for bullet in result["bullets"]], result["proposed"], result["writer"]) == ([OLD], 0, None)
    assert "cannot write bullets: reviewers' lines are taken as they are" in done.stderr


def test_a_label_s_long_reason_is_cut_so_that_the_pair_can_be_acted_upon(ledger, tmp_path, endpoint):
    pairs = [replace(example, explanations=("why " * 2_000,)) for example in make_pairs(3)]
    run = write_run(tmp_path / "long", pairs)
    assert distilled(endpoint, run, "Prefer pages that answer.", "--labels")["proposed"] == 3
    desk = Desk(read_run(run), ledger, "ada", 10)
    review = desk.reviews()[desk.entries[0].key]
    assert len(review.explanation) <= MAX_EXPLANATION_CHARS and review.explanation.endswith("why...")
    written = Written(review.explanation, review.bullet, review.events[-1].number)
    desk.act(0, "accept", written)
    assert [bullet["text"] for bullet in told("list")["bullets"]] == ["Prefer pages that answer."]

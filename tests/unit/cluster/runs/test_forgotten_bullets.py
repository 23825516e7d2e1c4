"""Forgetting a document: bullets of it leave what runs were offered, and are named where they still stand."""

import json
from contextlib import closing
from datetime import UTC, datetime

import pytest

from cluster.adapting.bullet_choice import keep_offered, offered_bullets
from cluster.runs.folder import RunFolder
from cluster.runs.forgetting import forget_document
from cluster.runs.forgotten_bullets import lines_taught_by, without_document
from optimize_workers.ledger import Ledger
from optimize_workers.library.bullets import Bullet, Source, read_bullets
from optimize_workers.library.reviews import EventKind, ReviewEvent

NOW = datetime(2026, 11, 22, tzinfo=UTC)
LINE, REASON = "Leocadia's pages are out of date.", "Leocadia wrote it in 2019"


def source(number, explanation="why"):
    return Source(query_id=f"q{number}", doc_id=f"d{number}", explanation=explanation)


def event(kind, doc_id, text, *, run="out/a"):
    return ReviewEvent(run, "q", doc_id, "train", kind, {"text": text}, "ada", NOW)


@pytest.fixture
def ledger(home):
    with closing(Ledger(f"sqlite:///{home / 'ledger.db'}")) as opened:
        yield opened


@pytest.fixture
def folder(tmp_path, ledger):
    """A run that was offered three bullets: of d0 alone, of d0 and d1, of nobody."""
    run = RunFolder.create(tmp_path / "run", {})
    offered = [
        Bullet(text=LINE, sources=(source(0, REASON),)),
        Bullet(text="Prefer recent pages.", author="ada", sources=(source(0, REASON), source(1))),
        Bullet(text="Look twice."),
    ]
    keep_offered(run, offered)
    ledger.record_run(str(run.path), "optimize")
    return run.path


def test_a_bullet_that_the_document_alone_taught_leaves_and_others_lose_the_explanation():
    kept = without_document(
        [Bullet(text="One.", sources=(source(0),)), Bullet(text="Two.", sources=(source(0), source(1)))], "d0"
    )
    assert kept == [Bullet(text="Two.", sources=(source(0, ""), source(1)))]


def test_a_line_that_was_written_about_the_document_leaves_unless_another_explanation_is_the_same():
    mine = Bullet(text="One.", sources=(source(0, "One."), source(1, "Something like one.")))
    shared = Bullet(text="Two.", sources=(source(0, "Two."), source(1, " Two.\n")))
    assert [bullet.text for bullet in without_document([mine, shared], "d0")] == ["Two."]


def test_other_bullets_stay_as_they_are():
    bullets = [Bullet(text="One.", sources=(source(1),)), Bullet(text="Two.")]
    assert without_document(bullets, "d0") == bullets


def test_lines_are_the_documents_own_whatever_became_of_them():
    events = [
        event(EventKind.ACCEPTED, "d0", "accepted"),
        event(EventKind.REMOVED, "d0", "accepted"),
        event(EventKind.IMPORTED, "d0", "imported", run=""),
        event(EventKind.EXPLAINED, "d0", "only explained"),
        event(EventKind.ACCEPTED, "d0", "of two"),
        event(EventKind.ACCEPTED, "d1", "of two"),
    ]
    assert lines_taught_by(events, "d0") == {"accepted", "imported"}


def test_what_a_run_was_offered_is_rewritten(folder, ledger, home):
    told = forget_document("d0", ledger, home)
    assert told["files_rewritten"] == [str(folder / "bullets.jsonl")] and told["still_hold"] == []
    assert "Leocadia" not in (folder / "bullets.jsonl").read_text(encoding="utf-8")
    kept = read_bullets(folder / "bullets.jsonl")
    assert [bullet.text for bullet in kept] == ["Prefer recent pages.", "Look twice."]
    assert kept[0].sources == (source(0, ""), source(1))  # by its id a held-out document is still known
    assert offered_bullets(folder, None, resume=True) == kept
    again = forget_document("d0", ledger, home)
    assert (again["files_rewritten"], again["still_hold"]) == ([], [])


def test_files_with_a_bullet_of_the_document_are_named(folder, ledger, home):
    (folder / "candidates.jsonl").write_text(json.dumps({"program": {"bullets": [LINE]}}), encoding="utf-8")
    (folder / "report.html").write_text(f"<pre>- {LINE.replace(chr(39), '&#39;')}</pre>", encoding="utf-8")
    (folder / "result.json").write_text(json.dumps({"bullets": ["Prefer recent pages."]}), encoding="utf-8")
    told = forget_document("d0", ledger, home)
    assert told["still_hold"] == [str(folder / "candidates.jsonl"), str(folder / "report.html")]


def test_a_release_with_a_bullet_that_was_accepted_of_the_document_is_named(folder, ledger, home):
    ledger.add_review_events([event(EventKind.ACCEPTED, "d7", "Names of people mean little.")])
    release = home / "mlartifacts" / "release.json"
    release.parent.mkdir()
    release.write_text(json.dumps({"bullets": ["Names of people mean little."]}), encoding="utf-8")
    assert forget_document("d7", ledger, home)["still_hold"] == [str(release)]


def test_a_run_of_which_all_bullets_are_forgotten_holds_none(tmp_path, ledger, home):
    run = RunFolder.create(tmp_path / "run", {})
    keep_offered(run, [Bullet(text=LINE, sources=(source(0),))])
    ledger.record_run(str(run.path), "optimize")
    for _ in range(2):
        ledger.add_review_events([event(EventKind.EXPLAINED, "d0", "why")])
        assert forget_document("d0", ledger, home)["still_hold"] == []
        assert (run.path / "bullets.jsonl").read_text() == ""


def test_a_file_of_bullets_that_cannot_be_read_is_named(folder, ledger, home):
    ledger.add_review_events([event(EventKind.EXPLAINED, "d0", "why")])
    (folder / "bullets.jsonl").write_text("{broken", encoding="utf-8")
    assert forget_document("d0", ledger, home)["still_hold"] == [str(folder / "bullets.jsonl")]


def test_a_file_of_bullets_that_cannot_be_rewritten_is_named(folder, ledger, home):
    (folder / ".bullets.jsonl.tmp").mkdir()  # where the new one is written first
    told = forget_document("d0", ledger, home)
    assert (told["files_rewritten"], told["still_hold"]) == ([], [str(folder / "bullets.jsonl")])

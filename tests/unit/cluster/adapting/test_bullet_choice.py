"""What bullets are chosen from: a file or the library, and never what held-out documents taught."""

import json

import pytest
from typer.testing import CliRunner

from cluster.adapting.bullet_choice import keep_offered, library_bullets, offered_bullets, without_held_out
from cluster.commands.cli import app
from cluster.commands.running import EXIT_REFUSED
from cluster.endpoint.config import EXAMPLES
from cluster.runs.folder import RunFolder
from judge_serve.judging import RefusedInputError
from judge_serve.judging.content_key import digest_of_text
from optimize_workers.dataset.splits import load_dataset
from optimize_workers.library.bullets import Bullet, Source
from tests.builders import SCALE

pytestmark = pytest.mark.usefixtures("home")


def run(*arguments):
    words = ["optimize", str(EXAMPLES / "workplace.jsonl"), "--optimizer", *map(str, arguments)]
    return CliRunner().invoke(app, words, catch_exceptions=False)


def test_a_file_is_read(tmp_path):
    path = tmp_path / "bullets.txt"
    path.write_text("One.\nTwo.\n", encoding="utf-8")
    assert [bullet.text for bullet in library_bullets(path)] == ["One.", "Two."]


def test_an_empty_library_is_refused_with_what_to_do():
    with pytest.raises(RefusedInputError, match="--bullets FILE"):
        library_bullets(None)


def test_accepted_bullets_of_the_library_are_taken(tmp_path):
    path = tmp_path / "bullets.txt"
    path.write_text("One.\n", encoding="utf-8")
    assert CliRunner().invoke(app, ["bullets", "import", str(path)], catch_exceptions=False).exit_code == 0
    assert [bullet.text for bullet in library_bullets(None)] == ["One."]


# --- resuming ---

OFFERED = [
    Bullet(text="One.", author="ada", created_at="2026-11-22", sources=(Source(query_id="q", doc_id="d"),)),
    Bullet(text="Two."),
]


@pytest.fixture
def file(tmp_path):
    """What the run was begun with, changed meanwhile."""
    path = tmp_path / "bullets.txt"
    path.write_text("Another.\n", encoding="utf-8")
    return path


@pytest.fixture
def folder(tmp_path):
    """A run that was offered two bullets and was killed."""
    run = RunFolder.create(tmp_path / "run", {"a": 1})
    keep_offered(run, OFFERED)
    run.append_line("candidates.jsonl", {})
    return run


def test_a_resumed_run_chooses_from_what_it_was_offered(folder, file):
    assert offered_bullets(folder.path, file, resume=True) == OFFERED
    file.unlink()
    assert offered_bullets(folder.path, file, resume=True) == OFFERED
    assert offered_bullets(folder.path, None, resume=True) == OFFERED  # the library is empty
    assert RunFolder.create(folder.path, {"a": 1}, resume=True).path == folder.path
    assert offered_bullets(folder.path, file, resume=True) == OFFERED


def test_a_run_that_begins_anew_chooses_from_what_there_is_now(folder, file):
    assert [bullet.text for bullet in offered_bullets(folder.path, file, resume=False)] == ["Another."]
    RunFolder.create(folder.path, {"a": 1})
    assert not (folder.path / "bullets.jsonl").exists()  # of the run before


def test_a_run_that_was_killed_before_it_wrote_them_reads_them_anew(folder, file):
    for name in ("bullets.jsonl", "candidates.jsonl"):
        (folder.path / name).unlink()
    assert [bullet.text for bullet in offered_bullets(folder.path, file, resume=True)] == ["Another."]


def test_a_run_that_lost_what_it_chose_from_is_not_resumed_with_something_else(folder, file):
    (folder.path / "bullets.jsonl").unlink()
    with pytest.raises(RefusedInputError, match=r"--resume: .*bullets.jsonl, which says what .* is gone"):
        offered_bullets(folder.path, file, resume=True)


# --- the command ---


def test_a_search_without_bullets_is_refused_before_anything_is_started(tmp_path):
    done = run("bullets", "--out", tmp_path / "out")
    assert done.exit_code == EXIT_REFUSED
    assert "--bullets FILE" in done.stderr
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("flag", [("--bullets", "b.txt"), ("--max-bullets", "3")])
def test_bullets_are_for_the_optimizer_that_chooses_them(tmp_path, flag):
    done = run("gepa", *flag, "--out", tmp_path / "out")
    assert done.exit_code == EXIT_REFUSED
    assert f"{flag[0]} cannot be given to optimizer 'gepa'" in done.stderr


def test_at_least_one_bullet_may_be_kept(tmp_path):
    done = run("bullets", "--max-bullets", "0", "--out", tmp_path / "out")
    assert done.exit_code == EXIT_REFUSED and "--max-bullets" in done.stderr


# --- what held-out data taught ---


def test_a_bullet_that_a_held_out_document_taught_is_refused(tmp_path):
    rows = [
        {"query": f"query {n}", "document": f"document {n}", "doc_id": f"d{n}", "rating": 3, "split": split}
        for n, split in enumerate(["train", "val", "test"])
    ]
    path = tmp_path / "rows.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    dataset = load_dataset(str(path), SCALE)
    bullets = [
        Bullet(text=f"From {doc_id}.", sources=(Source(query_id="q", doc_id=doc_id),)) for doc_id in ("d0", "d1", "d2")
    ]
    kept, refused = without_held_out([*bullets, Bullet(text="From nowhere.")], dataset)
    assert [bullet.text for bullet in kept] == ["From d0.", "From nowhere."]
    assert [(one.bullet.text, one.refusal) for one in refused] == [
        ("From d1.", ("held_out_source", "document 'd1' of split 'val'")),
        ("From d2.", ("held_out_source", "document 'd2' of split 'test'")),
    ]


LONG = " ".join(f"word{n}" for n in range(40))
COPIED = "a copy or near copy of one of val or test"


@pytest.fixture
def copies(tmp_path):
    """Documents of test stand in train under other ids: one as it is, one with a word more."""
    rows = [
        ("q0", "t0", "held out", "test"),
        ("q1", "t1", LONG, "test"),
        ("q2", "c0", "held out", "train"),
        ("q3", "c1", f"{LONG} more", "train"),
        ("q4", "own", "something else", "train"),
        ("q5", "own", "something else", "train"),
        ("q5", "v0", "a third thing", "val"),
    ]
    path = tmp_path / "rows.jsonl"
    names = ("query_id", "doc_id", "document", "split")
    lines = [{"query": f"query of {row[0]}", "rating": 3, **dict(zip(names, row, strict=True))} for row in rows]
    path.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    return load_dataset(str(path), SCALE)


@pytest.mark.parametrize(
    ("query_id", "doc_id", "detail"),
    [
        ("q2", "c0", f"document 'c0', {COPIED}"),
        ("q3", "c1", f"document 'c1', {COPIED}"),
        ("else", digest_of_text(LONG)[:16], f"document '{digest_of_text(LONG)[:16]}' of split 'test'"),
        ("else", digest_of_text(f"{LONG} more")[:16], f"document '{digest_of_text(f'{LONG} more')[:16]}', {COPIED}"),
        ("q0", "unknown", "query 'q0' of split 'test'"),
        (
            digest_of_text("query of q1")[:16],
            "unknown",
            f"query '{digest_of_text('query of q1')[:16]}' of split 'test'",
        ),
        ("q5", "unknown", "query 'q5' of split 'val'"),
        ("q4", "own", None),
        ("q5", "own", None),  # a training pair of a query that stands in val too
        ("else", "unknown", None),
    ],
)
def test_copies_and_queries_of_held_out_data_are_known_by_all_their_ids(copies, query_id, doc_id, detail):
    bullet = Bullet(
        text="One.", sources=(Source(query_id="q4", doc_id="own"), Source(query_id=query_id, doc_id=doc_id))
    )
    kept, refused = without_held_out([bullet], copies)
    assert [one.refusal.detail for one in refused] == ([detail] if detail else [])
    assert kept == ([] if detail else [bullet])

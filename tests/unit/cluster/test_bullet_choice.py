"""What bullets are chosen from: a file or the library, and never what held-out documents taught."""

import json

import pytest
from typer.testing import CliRunner

from cluster.bullet_choice import library_bullets, without_held_out
from cluster.cli import app
from cluster.configs import EXAMPLES
from cluster.running import EXIT_REFUSED
from judge_serve.judging import RefusedInputError
from optimize_workers.bullets import Bullet, Source
from optimize_workers.dataset import load_dataset
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

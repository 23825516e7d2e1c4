"""Bullets and their files: one line each, equal texts merged, refusals with file and line."""

import pytest

from judge_serve.judging import RefusedInputError
from optimize_workers.library.bullets import Bullet, Source, merge_equal, read_bullets, write_bullets


def write(path, text):
    path.write_text(text, encoding="utf-8")
    return path


@pytest.mark.parametrize("text", ["", "  ", "two\nlines", "two\u2028lines", "two\x0blines"])
def test_a_bullet_is_one_non_empty_line(text):
    with pytest.raises(ValueError, match="one non-empty line"):
        Bullet(text=text)


def test_a_bullet_is_named_by_its_text_alone():
    assert Bullet(text="abc").id == "ba7816bf8f01"  # SHA-256 of "abc"
    assert Bullet(text=" abc ", author="x", created_at="2025-01-02").id == "ba7816bf8f01"


def test_a_date_is_an_iso_date():
    with pytest.raises(ValueError, match="yesterday"):
        Bullet(text="abc", created_at="yesterday")


def test_plain_text_holds_one_bullet_a_line(tmp_path):
    path = write(tmp_path / "bullets.txt", "# ours\nOne.\n\n  Two.  \r\n")
    assert [bullet.text for bullet in read_bullets(path)] == ["One.", "Two."]


def test_what_is_written_is_read_again(tmp_path):
    source = Source(query_id="q", doc_id="d", explanation="why")
    bullets = [Bullet(text="One.", author="a", created_at="2025-01-02", sources=(source,)), Bullet(text="# Two ü")]
    write_bullets(tmp_path / "bullets.jsonl", bullets)
    assert read_bullets(tmp_path / "bullets.jsonl") == bullets


def test_equal_texts_are_merged_with_all_their_sources():
    first, second = Source(query_id="q1", doc_id="d1"), Source(query_id="q2", doc_id="d2")
    bullets = [
        Bullet(text="One.", author="a", sources=(first,)),
        Bullet(text="Two."),
        Bullet(text="One.", author="b", sources=(first, second)),
    ]
    assert merge_equal(bullets) == [Bullet(text="One.", author="a", sources=(first, second)), Bullet(text="Two.")]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ('{"text": ""}', "text: .*one non-empty line"),
        ('{"txt": "a"}', "text: Field required"),
        ('{"text": "a", "sources": [{"query_id": "q"}]}', "sources.0.doc_id"),
        ('["a"]', "valid dictionary"),
        ("One.", "not a JSON object"),
    ],
)
def test_what_is_no_bullet_is_refused_with_file_and_line(tmp_path, line, message):
    path = write(tmp_path / "bullets.jsonl", f'{{"text": "a"}}\n{line}\n')
    with pytest.raises(RefusedInputError, match=rf"{message}.*bullets\.jsonl:2"):
        read_bullets(path)


def test_a_file_without_bullets_is_refused(tmp_path):
    with pytest.raises(RefusedInputError, match="no bullets in it"):
        read_bullets(write(tmp_path / "bullets.txt", "# none yet\n"))
    with pytest.raises(RefusedInputError, match="not a readable file"):
        read_bullets(tmp_path / "missing.txt")


def test_bullets_are_written_as_json_lines_only(tmp_path):
    with pytest.raises(RefusedInputError, match=r"ends in \.jsonl"):
        write_bullets(tmp_path / "bullets.txt", [])

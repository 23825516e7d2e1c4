"""Prompts compared word by word: nothing is lost, what stayed is short, what is new is told from what was rewritten."""

import random

from cluster.report.prompt_diff import SKIPPED, differences_of, word_diff
from judge_serve.judging import Demonstration
from optimize_workers.texts.word_diff import ADDED, REMOVED, SAME
from tests.builders import PROGRAM


def side(pieces, left_out):
    return "".join(piece.text for piece in pieces if piece.what != left_out)


def test_only_the_words_that_changed_are_marked():
    pieces = word_diff("Rate the pair with great care today.", "Rate the pair with little care today.")
    assert [(piece.what, piece.text) for piece in pieces] == [
        (SAME, "Rate the pair with "),
        (REMOVED, "great "),
        (ADDED, "little "),
        (SAME, "care today."),
    ]


def test_both_texts_can_be_read_from_the_pieces():
    draw = random.Random(7)
    words = [f"w{n}" for n in range(12)]
    for _ in range(200):
        before = [draw.choice(words) for _ in range(draw.randrange(1, 25))]
        after = [word if draw.random() < 0.7 else draw.choice(words) for word in before]
        texts = " ".join(before), " ".join(after)
        pieces = word_diff(*texts)
        assert not any(piece.what == SKIPPED for piece in pieces)
        assert side(pieces, ADDED).split() == texts[0].split()
        assert side(pieces, REMOVED).split() == texts[1].split()


def test_a_text_that_is_hardly_the_same_one_is_replaced_as_a_whole():
    pieces = word_diff("One two three four.", "Quite another text, longer than the first.")
    assert [piece.what for piece in pieces] == [REMOVED, ADDED]


def test_a_word_or_two_between_changes_is_counted_to_them():
    before = "Keep these first words here: alpha beta and gamma delta. Keep these last words too."
    after = "Keep these first words here: one two and three four. Keep these last words too."
    assert [piece.what for piece in word_diff(before, after)] == [SAME, REMOVED, ADDED, SAME]


def test_long_unchanged_runs_are_left_out_beside_some_context():
    same = " ".join(f"word{n}" for n in range(200))
    pieces = word_diff(f"{same} end", f"{same} finish")
    assert [piece.what for piece in pieces] == [SKIPPED, SAME, REMOVED, ADDED]
    assert pieces[0].text == "175 words unchanged"
    assert pieces[1].text.split()[0] == "word175"


def test_a_text_that_stayed_is_named_unchanged_and_nothing_is_nothing():
    assert word_diff("", "") == ()
    assert [piece.what for piece in word_diff("short text", "short text")] == [SAME]
    assert [piece.what for piece in word_diff("", "a new section")] == [ADDED]
    assert [piece.what for piece in word_diff("a section", "")] == [REMOVED]


def test_a_long_prompt_is_compared_in_little_time():
    draw = random.Random(1)
    words = [f"word{draw.randrange(700)}" for _ in range(3_500)]
    pieces = word_diff(" ".join(words), " ".join([*words[:1_000], "inserted", *words[1_000:]]))
    assert [piece.text for piece in pieces if piece.what == ADDED] == ["inserted "]


def test_sections_bullets_and_demonstrations_are_compared_each():
    shown = Demonstration(query="q", document="d" * 5_000, rating=4, explanation="e")
    after = PROGRAM.with_sections({"rubric": "Rate the pair.", "new": "More."})
    after = after.model_copy(update={"bullets": ("One.",), "demonstrations": (shown,)})
    before = PROGRAM.model_copy(update={"bullets": ("Zero.", "One.")})
    found = {one.title: one for one in differences_of(before, after)}
    assert list(found) == ["section rubric", "section care", "section new", "bullets", "demonstrations"]
    assert [one.is_changed for one in found.values()] == [False, True, True, True, True]
    assert [tuple(piece) for piece in found["bullets"].pieces] == [(REMOVED, "Zero."), (SAME, "One.")]
    assert found["demonstrations"].pieces[0].text.startswith("[4] q / ddd")
    assert len(found["demonstrations"].pieces[0].text) < 700


def test_equal_programs_have_no_changed_part():
    assert not any(one.is_changed for one in differences_of(PROGRAM, PROGRAM))

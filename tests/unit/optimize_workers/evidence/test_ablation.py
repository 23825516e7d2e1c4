"""Ablation: each bullet against the judge without it; values worked by hand."""

import pytest

from optimize_workers.evidence.ablation import Verdict, ablate, without_each
from tests.builders import PROGRAM, SCALE, make_examples, make_judgment

EXAMPLES = make_examples(20)  # human ratings 1, 2, 3, 4, 5, 1, ...
RIGHT = [make_judgment(int(example.gold_rating)) for example in EXAMPLES]
ALL_THREES = [make_judgment(3) for _ in EXAMPLES]


def test_each_bullet_is_left_out_once_and_the_others_keep_their_order():
    program = PROGRAM.model_copy(update={"bullets": ("a", "b", "c")})
    assert [one.bullets for one in without_each(program)] == [("b", "c"), ("a", "c"), ("a", "b")]
    assert all(one.sections == program.sections for one in without_each(program))


def test_a_bullet_without_which_the_error_rises_helps():
    """Threes miss 1 and 5 by two of four, 2 and 4 by one: (2 * 25 + 2 * 6.25) / 5 = 12.5."""
    (effect,) = ablate(["a"], RIGHT, [ALL_THREES], EXAMPLES, SCALE)
    assert effect.effect.delta_nmse == pytest.approx(-12.5)
    assert effect.verdict is Verdict.HELPS


def test_a_bullet_without_which_the_error_falls_hurts():
    (effect,) = ablate(["a"], ALL_THREES, [RIGHT], EXAMPLES, SCALE)
    assert effect.effect.delta_nmse == pytest.approx(12.5)
    assert effect.verdict is Verdict.HURTS


def test_a_bullet_that_changes_nothing_or_one_reply_shows_no_effect():
    one_other = [*ALL_THREES[:-1], make_judgment(4)]
    effects = ablate(["a", "b"], ALL_THREES, [ALL_THREES, one_other], EXAMPLES, SCALE)
    assert [effect.verdict for effect in effects] == [Verdict.NO_EFFECT, Verdict.NO_EFFECT]
    assert [effect.bullet for effect in effects] == ["a", "b"]

"""The diff budget: bullets may be added, and nothing else changes, not even a byte."""

import pytest

from judge_serve.judging import AnswerMode, ModelIdentity, Program, Sampling
from judge_serve.judging.program import Demonstration
from optimize_workers.evidence.diff_budget import changed_outside_bullets
from tests.builders import JUDGE, PROGRAM

SHOWN = Demonstration(query="q", document="d", rating=3, explanation="e")


def with_program(**changes):
    return JUDGE.model_copy(update={"program": PROGRAM.model_copy(update=changes)})


@pytest.mark.parametrize("own", [(), ("One.",), ("One.", "Two.")])
@pytest.mark.parametrize("added", [(), ("Three.",), ("Three.", "Four.")])
def test_bullets_may_be_added_after_the_baselines_own(own, added):
    assert changed_outside_bullets(with_program(bullets=own), with_program(bullets=own + added)) is None


@pytest.mark.parametrize("after", [(), ("One.",), ("Two.", "One."), ("Three.", "One.", "Two."), ("One.", "Two!")])
def test_the_baselines_own_bullets_stay_as_they_are(after):
    before = with_program(bullets=("One.", "Two."))
    assert changed_outside_bullets(before, with_program(bullets=after)) == "the baseline's own bullets"


@pytest.mark.parametrize(
    ("judge", "changed"),
    [
        (with_program(sections={"rubric": "Rate the pair. ", "care": "Be careful."}), "the program's sections"),
        (with_program(sections=dict(reversed(PROGRAM.sections.items()))), "the program's sections"),
        (with_program(demonstrations=(SHOWN,)), "the program's demonstrations"),
        (JUDGE.model_copy(update={"mode": AnswerMode.GUIDED}), "mode"),
        (JUDGE.model_copy(update={"sampling": Sampling(temperature=0.1)}), "sampling"),
        (JUDGE.model_copy(update={"model": ModelIdentity(name="other")}), "model"),
    ],
)
def test_everything_else_is_named(judge, changed):
    assert changed_outside_bullets(JUDGE, judge) == changed


def test_a_section_that_repeats_the_block_does_not_hide_a_change():
    block = "Guidelines:\n- One."
    before = Program(sections={"rubric": f"Rate.\n\n{block}"}, bullets=("One.",))
    after = Program(sections={"rubric": "Rate."}, bullets=("One.",))
    judges = [JUDGE.model_copy(update={"program": program}) for program in (before, after)]
    assert changed_outside_bullets(*judges) == "the program's sections"

"""Content keys of judge calls: whatever changes the request or the example changes the key, nothing else does."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from judge_serve.judging import AnswerMode, Item, ModelIdentity, Sampling, Scale, Task
from judge_serve.judging.judge_call import JudgeCall, call_key, call_keys, judge_key
from judge_serve.judging.program import Demonstration
from tests.builders import JUDGE, PROGRAM

ITEM = Item("query", "document", "q1", "d1")
SHOWN = Demonstration(query="a", document="b", rating=3, explanation="c")


def key(judge=JUDGE, item=ITEM, occurrence=0):
    return call_key(judge_key(judge), item, occurrence)


def test_a_key_has_32_bytes_and_is_the_same_twice():
    assert len(key()) == 32
    assert key() == key(JUDGE.model_copy(deep=True), Item("query", "document", "q1", "d1"))


@pytest.mark.parametrize(
    "change",
    [
        {"model": ModelIdentity(name="other")},
        {"model": ModelIdentity(name="scripted", revision="2")},
        {"sampling": Sampling(temperature=0.5)},
        {"sampling": Sampling(max_tokens=64)},
        {"sampling": Sampling(frequency_penalty=0.5)},
        {"sampling": Sampling(seed=1)},
        {"mode": AnswerMode.GUIDED},
        {"mode": AnswerMode.EXPECTED},
        {"program": PROGRAM.with_sections({"rubric": "Rate it well."})},
        {"program": PROGRAM.model_copy(update={"bullets": ("Prefer recent documents.",)})},
        {"program": PROGRAM.model_copy(update={"demonstrations": (SHOWN,)})},
        {"task": Task(description="You judge support answers.")},
        {"task": Task(scale=Scale(minimum=1, maximum=2, anchors=("no", "yes")))},
    ],
)
def test_whatever_changes_the_request_changes_the_key(change):
    assert key(JUDGE.model_copy(update=change)) != key()


@pytest.mark.parametrize(
    "item",
    [
        Item("other", "document", "q1", "d1"),
        Item("query", "other", "q1", "d1"),
        Item("query", "document", "q2", "d1"),
        Item("query", "document", "q1", "d2"),
        Item("query", "document", "q1d", "1"),
    ],
)
def test_another_example_has_another_key(item):
    assert key(item=item) != key()


def test_repetitions_have_keys_of_their_own():
    assert len({key(occurrence=n) for n in range(5)}) == 5


def test_programs_that_render_the_same_prompt_share_a_key():
    """One text in two sections or in one: the model sees no difference."""
    joined = PROGRAM.with_sections({"instruction": PROGRAM.instruction})
    assert joined.digest != PROGRAM.digest
    assert key(JUDGE.model_copy(update={"program": joined})) == key()


@given(st.tuples(st.text(), st.text(), st.text(), st.text()), st.tuples(st.text(), st.text(), st.text(), st.text()))
def test_different_items_never_share_a_key(first, second):
    shared = judge_key(JUDGE)
    assert (call_key(shared, Item(*first), 0) == call_key(shared, Item(*second), 0)) == (first == second)


# of the tree before digit masses were recorded: rows of these modes go on answering
KEYS_OF_0_1 = {
    AnswerMode.GENERATE: "df084350d9480d246769bf36c41a4c048ad0074bd4f1b124c69efec8937a7928",
    AnswerMode.GUIDED: "1a7e1fb899e0cc1ff2343833a8261b16fc901863dbb5e31b6729e627c0b3a575",
}


@pytest.mark.parametrize(("mode", "digest"), KEYS_OF_0_1.items())
def test_keys_of_text_modes_are_what_they_were(mode, digest):
    assert key(JUDGE.model_copy(update={"mode": mode})).hex() == digest


def test_the_floor_of_the_mass_counts_where_digits_are_read():
    floor = {"min_digit_mass": 0.3}
    expected = JUDGE.model_copy(update={"mode": AnswerMode.EXPECTED})
    assert key(expected.model_copy(update=floor)) != key(expected)
    assert key(JUDGE.model_copy(update=floor)) == key()


def test_control_tokens_change_the_keys_of_the_items_that_hold_them_only():
    judge = JUDGE.model_copy(update={"control_tokens": ("{role}",)})
    plain, hostile = Item("q", "d", "q1", "d1"), Item("q", "{role} system", "q1", "d1")
    calls = [JudgeCall(judge, plain), JudgeCall(judge, hostile)]
    assert call_keys(calls) == [call.key for call in calls]
    assert calls[0].key == JudgeCall(JUDGE, plain).key
    assert calls[1].key != JudgeCall(JUDGE, hostile).key


def test_text_without_a_utf8_form_has_a_key():
    assert key(item=Item("\ud800", "d", "q", "d")) == key(item=Item("\ud800", "d", "q", "d"))

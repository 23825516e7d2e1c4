"""Merging programs line by line."""

from hypothesis import given
from hypothesis import strategies as st

from optimize_workers.optimizers.gepa.merge import merge_lines, merge_sections

LINES = st.lists(st.sampled_from("abcdef"), max_size=8)


def test_lines_added_in_different_places_are_both_there():
    assert merge_lines(["a", "b"], ["x", "a", "b"], ["a", "b", "y"]) == ["x", "a", "b", "y"]


def test_lines_added_in_one_place_stand_one_after_the_other():
    assert merge_lines(["a"], ["a", "x"], ["a", "y"]) == ["a", "x", "y"]


def test_the_same_line_added_by_both_stands_once():
    assert merge_lines(["a"], ["a", "x"], ["a", "x"]) == ["a", "x"]


def test_changes_of_the_same_line_conflict():
    assert merge_lines(["a", "b"], ["a", "x"], ["a", "y"]) is None


def test_a_removed_line_stays_removed():
    assert merge_lines(["a", "b", "c"], ["a", "c"], ["a", "b", "c", "d"]) == ["a", "c", "d"]


def test_sections_merge_each_for_itself_and_one_conflict_spoils_all():
    base = {"rubric": "a", "care": "b"}
    assert merge_sections(base, {"rubric": "x", "care": "b"}, {"rubric": "a", "care": "y"}) == {
        "rubric": "x",
        "care": "y",
    }
    assert merge_sections(base, {"rubric": "x", "care": "b"}, {"rubric": "y", "care": "b"}) is None


@given(LINES, LINES)
def test_merging_with_what_did_not_change_gives_the_change(base, changed):
    assert merge_lines(base, changed, base) == changed
    assert merge_lines(base, base, changed) == changed

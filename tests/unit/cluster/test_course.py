"""The course of a search: the best NMSE never rises, and the line stays between its axes."""

import pytest

from cluster.report.course import Step, course_of, line_of
from tests.unit.cluster.studies import gepa_study, make_trial


def test_the_course_holds_full_trials_on_validation_with_the_best_so_far():
    course = course_of(gepa_study().trials)
    assert [(step.trial, step.calls) for step in course] == [(0, 40), (4, 120), (10, 200), (11, 240)]
    assert [step.nmse for step in course] == pytest.approx([30.0, 20.0, 12.5, 25.0])
    assert [step.best_nmse for step in course] == pytest.approx([30.0, 20.0, 12.5, 12.5])
    assert [step.validity for step in course] == [1.0, 1.0, 0.95, 1.0]


def test_a_full_trial_on_another_split_is_no_step():
    assert course_of([make_trial(0, 10.0, split="train")]) == []


def test_the_line_steps_down_at_the_calls_of_its_steps():
    course = [Step(0, 50, 40.0, 40.0, 1.0), Step(1, 100, 10.0, 10.0, 1.0)]
    line = line_of(course, 200)
    # between the axes there are 570 units for 200 calls, and 170 for an NMSE of 40
    assert line.path == "M192.5 15.0H335.0V142.5H620.0"
    assert (line.top_nmse, line.last_call) == (40.0, 200)


def test_a_search_of_a_perfect_baseline_is_a_line_at_the_bottom():
    assert line_of([Step(0, 0, 0.0, 0.0, 1.0)], 0).path == "M50.0 185.0H620.0"


def test_a_line_of_nothing_is_refused():
    with pytest.raises(ValueError, match="no candidate was judged"):
        line_of([], 10)

"""The course of a search: the best NMSE never rises."""

from dataclasses import replace

import pytest

from cluster.report.course import course_of
from tests.unit.cluster.studies import gepa_study, make_trial


def test_the_course_holds_full_trials_on_validation_with_the_best_so_far():
    course = course_of(gepa_study().trials)
    assert [(step.trial, step.calls) for step in course] == [(0, 40), (4, 120), (10, 200), (11, 240)]
    assert [step.nmse for step in course] == pytest.approx([30.0, 20.0, 12.5, 25.0])
    assert [step.best_nmse for step in course] == pytest.approx([30.0, 20.0, 12.5, 12.5])
    assert [step.validity for step in course] == [1.0, 1.0, 0.95, 1.0]


def test_a_full_trial_on_another_split_is_no_step():
    assert course_of([replace(make_trial(0, 10.0), split="train")]) == []

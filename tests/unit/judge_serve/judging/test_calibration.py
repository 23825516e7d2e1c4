"""Calibration: monotone curves on the scale, and what a calibrated release answers."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from judge_serve.judging import (
    Affine,
    AnswerMode,
    Calibration,
    FittedOn,
    Isotonic,
    Program,
    RefusedInputError,
    Release,
)
from tests.builders import JUDGE, SCALE, make_calibration, make_judgment

STEPS = Isotonic(x=(1.0, 2.0, 4.0), y=(2.0, 2.0, 5.0))
finite = st.floats(-100, 100)
risings = st.lists(finite, min_size=1, max_size=8, unique=True).map(sorted)


@st.composite
def curves(draw):
    if draw(st.booleans()):
        return Affine(slope=draw(st.floats(0, 10)), intercept=draw(finite))
    x = draw(risings)
    y = sorted(draw(st.lists(finite, min_size=len(x), max_size=len(x))))
    return Isotonic(x=tuple(x), y=tuple(y))


@given(curves(), st.floats(1, 5), st.floats(1, 5))
def test_a_higher_answer_never_becomes_a_lower_one(curve, left, right):
    calibration = make_calibration(curve)
    low, high = calibration.value(min(left, right), SCALE), calibration.value(max(left, right), SCALE)
    assert low <= high + 1e-9
    assert SCALE.holds(low)
    assert SCALE.holds(high)


@pytest.mark.parametrize(("value", "calibrated"), [(1, 2.0), (2, 2.0), (3, 3.5), (4, 5.0), (5, 5.0), (0.5, 2.0)])
def test_isotonic_knots_are_joined_by_straight_lines_and_level_outside(value, calibrated):
    assert STEPS.at(value) == calibrated


@pytest.mark.parametrize(("value", "calibrated"), [(3, 4.5), (1, 1.5), (5, 5.0)])
def test_an_affine_calibration_is_clipped_to_the_scale(value, calibrated):
    assert make_calibration(Affine(slope=1.5, intercept=0.0)).value(value, SCALE) == calibrated


@pytest.mark.parametrize(
    ("document", "message"),
    [
        ({"kind": "affine", "slope": -0.1, "intercept": 0}, "greater than or equal to 0"),
        ({"kind": "affine", "slope": float("nan"), "intercept": 0}, "slope"),
        ({"kind": "affine", "slope": 1, "intercept": float("inf")}, "finite"),
        ({"kind": "isotonic", "x": [1, 2], "y": [2, 1]}, "must not fall"),
        ({"kind": "isotonic", "x": [2, 2], "y": [1, 2]}, "must rise"),
        ({"kind": "isotonic", "x": [1, 2], "y": [1]}, "a y for every x"),
        ({"kind": "isotonic", "x": [], "y": []}, "at least 1 item"),
        ({"kind": "isotonic", "x": [0, 2, 3], "y": [-1.7e308, -1.7e308, 1.7e308]}, "greater than or equal to -1000"),
        ({"kind": "spline"}, "expected tags"),
    ],
)
def test_a_curve_that_is_not_monotone_or_not_finite_is_refused(document, message):
    fitted_on = {"dataset": "f", "n": 20, "queries": 4, "mode": "generate", "judge": "d"}
    with pytest.raises(ValidationError, match=message):
        Calibration.model_validate({"curve": document, "fitted_on": fitted_on})


# --- a calibrated release ---

CALIBRATED = Release(judge=JUDGE, calibration=make_calibration(Affine(slope=0.5, intercept=2.2)))


def test_a_calibrated_judgment_has_the_calibrated_value_and_its_rounding():
    judgment = make_judgment(2, expected=1.9, raw_reply="2")
    calibrated = CALIBRATED.calibrated(judgment)
    assert (calibrated.expected_rating, calibrated.rating) == (pytest.approx(3.15), 3)
    assert (calibrated.raw_reply, calibrated.mode) == ("2", AnswerMode.EXPECTED)


def test_ratings_of_the_free_text_modes_are_calibrated_too():
    calibrated = CALIBRATED.calibrated(make_judgment(4))
    assert (calibrated.expected_rating, calibrated.rating, calibrated.value) == (pytest.approx(4.2), 4, 4.2)
    assert calibrated.explanation == "because"


def test_an_invalid_judgment_stays_invalid():
    judgment = make_judgment(None)
    assert CALIBRATED.calibrated(judgment) is judgment


def test_a_release_without_calibration_changes_nothing():
    judgment = make_judgment(2, expected=1.9)
    assert Release(judge=JUDGE).calibrated(judgment) is judgment


@given(curves())
def test_a_calibrated_release_survives_its_json(curve):
    release = Release(judge=JUDGE, calibration=make_calibration(curve))
    read = Release.from_json(release.to_json())
    assert read == release
    assert read.calibrated(make_judgment(4)) == release.calibrated(make_judgment(4))


def test_a_calibration_is_in_the_digest():
    assert CALIBRATED.digest != Release(judge=JUDGE).digest


@pytest.mark.parametrize(
    "judge",
    [
        JUDGE.model_copy(update={"mode": AnswerMode.GUIDED}),
        JUDGE.model_copy(update={"program": Program(sections={"rubric": "Another."})}),
    ],
    ids=["mode", "program"],
)
def test_the_calibration_of_another_judge_is_refused(judge):
    document = json.loads(Release(judge=judge, calibration=make_calibration(judge=judge)).to_json())
    document["calibration"]["fitted_on"]["judge"] = JUDGE.digest
    with pytest.raises(RefusedInputError, match="the calibration was fitted for another judge"):
        Release.from_document(document)


def test_what_a_calibration_was_fitted_on_is_part_of_it():
    assert CALIBRATED.calibration.fitted_on == FittedOn(
        dataset="data", n=40, queries=8, mode=AnswerMode.GENERATE, judge=JUDGE.digest
    )
    with pytest.raises(ValidationError, match="split"):
        FittedOn(dataset="data", split="test", n=40, queries=8, mode=AnswerMode.GENERATE, judge=JUDGE.digest)

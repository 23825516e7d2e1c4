"""Studies: what wins, what is recorded, and which data and budgets are refused."""

import pytest

from judge_serve.judging import RefusedInputError
from optimize_workers.dataset.splits import OptimizationData
from optimize_workers.evaluation.budget import Budget
from optimize_workers.evaluation.budgeted import Budgeted
from optimize_workers.study import MIN_BUDGET, Study, check_study
from tests.builders import JUDGE, PROGRAM, make_examples, make_judgment
from tests.fakes import InProcessPool, ScriptedEngine

DATA = OptimizationData(train=make_examples(20), val=make_examples(10, "val"))
OTHER = PROGRAM.with_sections({"rubric": "Rate it well."})


def study_on(engine, total=100, **options):
    return Study(
        JUDGE, DATA, Budgeted(InProcessPool(engine), Budget(total)), seed=0, reflect=lambda prompt: "", **options
    )


# --- trials ---


def test_a_trial_is_recorded_with_mean_score_and_validity():
    study = study_on(ScriptedEngine())
    # scores 1 (right) and 0 (unreadable); the miss by 1 is 0.9375
    examples = make_examples(4)
    judgments = [make_judgment(1), make_judgment(None), make_judgment(4), make_judgment(4)]
    trial = study.record(study.scored(PROGRAM, examples, judgments), {"step": 1}, is_full=True)
    assert (trial.number, trial.n, trial.validity) == (0, 4, 0.75)
    assert trial.score == pytest.approx((1 + 0 + 0.9375 + 1) / 4)
    assert trial.as_dict()["nmse"] == pytest.approx(100 * (1 - trial.score))
    assert trial.as_dict()["candidate"] == PROGRAM.digest


def test_every_trial_is_told():
    told = []
    study = study_on(ScriptedEngine(), on_trial=told.append)
    record(study, PROGRAM, 0.5)
    assert told == study.trials


def record(study, program, score, *, is_full=True):
    judgments = [make_judgment(1 if n < score * 10 else 5) for n in range(10)]
    examples = [make_examples(1)[0]] * 10
    return study.record(study.scored(program, examples, judgments), {}, is_full=is_full)


def test_the_best_full_trial_wins():
    study = study_on(ScriptedEngine())
    record(study, PROGRAM, 0.5)
    record(study, OTHER, 0.6)
    assert study.result().winner == OTHER


def test_the_baseline_wins_a_tie():
    study = study_on(ScriptedEngine())
    record(study, PROGRAM, 0.5)
    record(study, OTHER, 0.5)
    assert study.result().winner == PROGRAM


def record_unreadable(study, program, num_invalid):
    """A trial on examples that are judged rightly, but for some unreadable replies."""
    judgments = [make_judgment(None if n < num_invalid else 1) for n in range(10)]
    return study.record(study.scored(program, [make_examples(1)[0]] * 10, judgments), {}, is_full=True)


def test_a_candidate_under_the_validity_floor_cannot_win():
    study = study_on(ScriptedEngine())
    record(study, PROGRAM, 0.5)
    better = record_unreadable(study, OTHER, 2)
    result = study.result()
    assert (result.winner, result.under_floor) == (PROGRAM, better)


def test_a_candidate_on_the_validity_floor_can_win():
    study = study_on(ScriptedEngine())
    record(study, PROGRAM, 0.5)
    record_unreadable(study, OTHER, 1)
    result = study.result()
    assert (result.winner, result.under_floor) == (OTHER, None)


def test_the_baseline_stays_with_any_validity():
    study = study_on(ScriptedEngine())
    record_unreadable(study, PROGRAM, 10)
    record_unreadable(study, OTHER, 9)
    assert study.result().winner == PROGRAM


def test_a_minibatch_cannot_win():
    study = study_on(ScriptedEngine())
    record(study, PROGRAM, 0.5)
    record(study, OTHER, 1.0, is_full=False)
    assert study.result().winner == PROGRAM


def test_without_a_trial_the_baseline_remains():
    assert study_on(ScriptedEngine()).result().winner == PROGRAM


def test_validation_examples_are_drawn_by_the_seed_in_their_own_order():
    study = study_on(ScriptedEngine())
    drawn = study.validation_examples(4)
    assert len(drawn) == 4
    assert drawn == study.validation_examples(4)
    assert sorted(drawn, key=DATA.val.index) == list(drawn)
    assert study.validation_examples(10) == study.validation_examples(99) == DATA.val


# --- what can carry a search ---


def test_enough_data_and_budget_are_accepted():
    check_study(DATA, MIN_BUDGET)


def test_a_budget_that_is_too_small_is_refused():
    with pytest.raises(RefusedInputError, match="--budget 23 is too small, a search needs at least 24 judge calls"):
        check_study(DATA, MIN_BUDGET - 1)


@pytest.mark.parametrize(
    ("data", "found"),
    [
        (OptimizationData((), DATA.val), "found 0 and 10"),
        (OptimizationData(DATA.train, DATA.val[:3]), "found 20 and 3"),
    ],
)
def test_data_that_is_too_small_is_refused(data, found):
    with pytest.raises(RefusedInputError, match=found):
        check_study(data, 100)

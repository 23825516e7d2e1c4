"""MIPROv2: repairs a format with demonstrations, within its budget, and never scores an outage."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from judge_serve.judging import EngineError
from optimize_workers.optimizers.mipro import MiproOptimizer, plan_budget
from optimize_workers.study import MIN_BUDGET, MIN_VALIDATION
from tests.builders import PROGRAM
from tests.fakes import json_reply
from tests.unit.optimize.searches import (
    DATA,
    fails_after,
    gold_of,
    make_study,
    rate_well,
    readable_with_demonstrations,
)

OUTAGE = EngineError("the engine is down", is_retryable=False)
PROPOSAL = "Rate by the evidence that a document states."


def propose(prompt):
    """A reflection model that answers every field that DSPy's proposer asks for."""
    names = ("observations", "summary", "program_description", "module_description", "proposed_instruction")
    return "".join(f"[[ ## {name} ## ]]\n{PROPOSAL}\n\n" for name in names) + "[[ ## completed ## ]]"


def run(study):
    return MiproOptimizer().run(study)


def weak(script=readable_with_demonstrations, **options):
    """A study whose model cannot write instructions, as the embedded one."""
    return make_study(script, can_propose=False, **options)


def test_demonstrations_repair_an_unreadable_format():
    result = run(weak())
    assert result.winner.demonstrations
    best = max((trial for trial in result.trials if trial.is_full), key=lambda trial: trial.score)
    assert (best.validity, best.score) == (1.0, 1.0)
    assert (result.trials[0].validity, result.trials[0].score) == (0.0, 0.0)


def test_demonstrations_come_from_train_with_human_ratings():
    known = {(e.item.query, e.item.document, e.gold_rating) for e in DATA.train}
    shown = [d for trial in run(weak()).trials for d in trial.program.demonstrations]
    assert shown
    assert {(d.query, d.document, d.rating) for d in shown} <= known


def test_the_first_trial_is_the_baseline_on_validation_examples():
    trial = run(weak()).trials[0]
    assert (trial.program, trial.is_full, trial.origin) == (PROGRAM, True, {"optimizer": "mipro"})


def test_a_winner_was_evaluated_on_all_validation_examples():
    result = run(weak())
    full = [trial for trial in result.trials if trial.is_full]
    assert result.winner in [trial.program for trial in full]
    assert len({trial.n for trial in full}) == 1


def test_a_baseline_that_is_right_already_stays():
    assert run(weak(rate_well)).winner == PROGRAM


def test_bullets_stay_in_every_candidate():
    study = weak()
    bulleted = PROGRAM.model_copy(update={"bullets": ("Read all.",)})
    study.judge = study.plane.judge = study.judge.model_copy(update={"program": bulleted})
    assert {trial.program.bullets for trial in run(study).trials} == {("Read all.",)}


# --- budget ---


@given(st.integers(MIN_BUDGET, 5_000), st.integers(MIN_VALIDATION, 2_000))
def test_a_plan_fits_its_budget_and_wastes_little(budget, num_val):
    plan = plan_budget(budget, num_val)
    assert plan.worst_case <= budget
    assert MIN_VALIDATION <= plan.num_validation <= num_val
    assert 2 <= plan.minibatch <= plan.num_validation
    assert plan.num_trials >= 1
    assert plan.worst_case + plan.minibatch + plan.num_validation >= budget


@pytest.mark.parametrize("budget", [24, 25, 37, 60, 111, 200])
def test_the_budget_is_never_exceeded(budget):
    study = weak(budget=budget)
    run(study)
    assert study.plane._pool.calls == study.budget.used <= budget


# --- scores ---


def test_unreadable_replies_lower_their_own_examples_only():
    baseline = run(weak(lambda request: "no idea" if gold_of(request) in (1, 2) else rate_well(request))).trials[0]
    assert baseline.n == 10
    assert (baseline.validity, baseline.score) == (pytest.approx(0.6), pytest.approx(0.6))


@pytest.mark.parametrize("num_calls", [0, 5, 12, 40])
def test_an_outage_of_the_engine_raises_and_scores_nothing(num_calls):
    study = weak(fails_after(num_calls, rate_well, OUTAGE))
    with pytest.raises(EngineError, match="the engine is down"):
        run(study)
    assert sum(trial.n for trial in study.trials) <= num_calls
    assert all(trial.score == 1.0 for trial in study.trials)


def test_the_same_seed_makes_the_same_trials():
    def trials(seed):
        return [trial.as_dict() for trial in run(weak(seed=seed)).trials]

    assert trials(5) == trials(5)
    assert trials(5) != trials(6)


# --- proposed instructions ---


def test_an_instruction_of_the_reflection_model_can_win():
    def script(request):
        return json_reply(gold_of(request) if PROPOSAL in request.messages[0]["content"] else 3)

    result = run(make_study(script, reflect=propose))
    assert result.winner.instruction == PROPOSAL


def test_a_storm_of_refused_proposals_leaves_baseline_and_demonstrations():
    def reflect(prompt):
        return propose(prompt).replace(PROPOSAL, "Rate from 1 to 10.")

    result = run(make_study(rate_well, reflect=reflect))
    assert result.winner == PROGRAM
    assert result.refusals["scale_change"] >= 1
    assert {trial.program.instruction for trial in result.trials} == {PROGRAM.instruction}


@pytest.mark.parametrize("reply", ["", "lorem ipsum", "{", "[[ ## proposed_instruction ## ]]", "\ud800"])
def test_a_junk_reflection_ends_cleanly(reply):
    result = run(make_study(readable_with_demonstrations, reflect=lambda prompt: reply))
    assert result.winner.demonstrations
    assert sum(result.refusals.values()) >= 1


def test_an_outage_of_the_reflection_model_raises():
    def reflect(prompt):
        raise OUTAGE

    study = make_study(rate_well, reflect=reflect)
    with pytest.raises(EngineError, match="the engine is down"):
        run(study)
    assert study.trials == []


def test_an_outage_that_passes_raises_too():
    replies = iter([OUTAGE])

    def reflect(prompt):
        error = next(replies, None)
        if error:
            raise error
        return propose(prompt)

    with pytest.raises(EngineError, match="the engine is down"):
        run(make_study(rate_well, reflect=reflect))


def test_a_bug_in_reflecting_is_no_unreadable_proposal():
    def reflect(prompt):
        raise TypeError("bug")

    with pytest.raises(Exception, match="bug"):
        run(make_study(rate_well, reflect=reflect))


def test_proposing_prints_nothing(capsys):
    run(make_study(rate_well, reflect=propose))
    assert capsys.readouterr().out == ""


def test_proposals_see_no_validation_text():
    prompts = []

    def reflect(prompt):
        prompts.append(prompt)
        return propose(prompt)

    run(make_study(rate_well, reflect=reflect))
    assert prompts
    assert not any(e.item.document in prompt for e in DATA.val for prompt in prompts)

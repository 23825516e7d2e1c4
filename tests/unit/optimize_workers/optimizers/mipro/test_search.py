"""MIPROv2: repairs a format with demonstrations, within its budget, and never scores an outage."""

import random
import threading
import time
from collections import Counter

import optuna
import pytest
from hypothesis import given
from hypothesis import strategies as st
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend

from judge_serve.judging import AnswerMode, EngineReply
from judge_serve.judging.errors import OutageError
from optimize_workers.dataset.splits import OptimizationData
from optimize_workers.optimizers.mipro.instructions import fixed_variants
from optimize_workers.optimizers.mipro.search import MiproOptimizer, MiproPlan, plan_budget
from optimize_workers.study import MIN_BUDGET, MIN_VALIDATION
from tests.builders import JUDGE, PROGRAM, make_example, make_examples
from tests.fakes import json_reply
from tests.unit.optimize_workers.optimizers.searches import (
    DATA,
    PROPOSAL,
    fails_after,
    gold_of,
    has_demonstrations,
    make_study,
    pool_of,
    propose,
    rate_well,
    readable_with_demonstrations,
)

OUTAGE = OutageError("the engine is down")


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
    study.judge = study.judge.model_copy(update={"program": bulleted})
    assert {trial.program.bullets for trial in run(study).trials} == {("Read all.",)}


# --- budget ---


@given(st.integers(MIN_BUDGET, 5_000), st.integers(MIN_VALIDATION, 2_000))
def test_a_plan_leaves_room_for_trials(budget, num_val):
    plan = plan_budget(budget, num_val)
    assert MIN_VALIDATION <= plan.num_validation <= num_val
    assert 2 <= plan.minibatch <= min(35, plan.num_validation)
    assert plan.max_bootstrapping <= budget // 12
    assert plan.max_bootstrapping + 2 * plan.num_validation + plan.minibatch <= budget
    assert plan.num_trials > plan.num_sets * plan.num_instructions


@pytest.mark.parametrize("budget", [24, 25, 37, 60, 111, 200])
def test_the_budget_is_never_exceeded(budget):
    study = weak(budget=budget)
    run(study)
    assert pool_of(study).calls == study.budget.used <= budget


# --- scores ---


def test_unreadable_replies_lower_their_own_examples_only():
    baseline = run(weak(lambda request: "no idea" if gold_of(request) in (1, 2) else rate_well(request))).trials[0]
    assert baseline.n == 10
    assert (baseline.validity, baseline.score) == (pytest.approx(0.6), pytest.approx(0.6))


@pytest.mark.parametrize("num_calls", [0, 5, 12, 40])
def test_an_outage_of_the_engine_raises_and_scores_nothing(num_calls):
    study = weak(fails_after(num_calls, rate_well, OUTAGE))
    with pytest.raises(OutageError, match="the engine is down"):
        run(study)
    assert all(trial.calls <= num_calls and trial.score == 1.0 for trial in study.trials)


def test_the_same_seed_makes_the_same_trials():
    def trials(seed):
        return [trial.as_dict() for trial in run(weak(seed=seed)).trials]

    assert trials(5) == trials(5)
    assert trials(5) != trials(6)


# --- several trials at once ---


def test_the_order_in_which_calls_come_back_changes_nothing():
    def shuffled(seed):
        rng = random.Random(seed)

        def script(request):
            time.sleep(rng.random() / 200)
            return readable_with_demonstrations(request)

        def reflect(prompt):
            time.sleep(rng.random() / 50)
            return propose(prompt)

        return [trial.as_dict() for trial in run(make_study(script, reflect=reflect, budget=150)).trials]

    assert shuffled(1) == shuffled(2) == shuffled(3)


def test_trials_are_under_way_at_once():
    most, now, lock = 0, 0, threading.Lock()

    def script(request):
        nonlocal most, now
        with lock:
            now += 1
            most = max(most, now)
        time.sleep(0.002)
        with lock:
            now -= 1
        return readable_with_demonstrations(request)

    run(weak(script, budget=200))
    assert most >= 4


def test_what_one_trial_asked_no_other_asks_again():
    asked = Counter()

    def script(request):
        asked[request.messages[0]["content"], *(turn["content"] for turn in request.messages[1:])] += 1
        return readable_with_demonstrations(request)

    study = weak(script, budget=200)
    run(study)
    assert set(asked.values()) == {1}
    assert sum(trial.n for trial in study.trials) > study.budget.used == sum(asked.values())


def test_minibatches_and_full_evaluations_follow_the_plan():
    plan = MiproPlan(num_validation=10, minibatch=4, num_trials=12, num_sets=4, num_instructions=3)
    trials = MiproOptimizer(plan).run(weak(budget=500)).trials
    assert [t.n for t in trials if t.split == "val" and not t.is_full] == [4] * 12
    assert {t.n for t in trials if t.is_full} == {10}
    searched = [t for t in trials if t.split == "val"]
    assert sum(t.is_full for t in searched) >= 1 + 3  # the baseline, after 5, 10 and 12 trials


def test_the_stages_are_told():
    stages = []
    study = weak()
    study.on_stage = stages.append
    run(study)
    assert stages == ["demonstrations", "instructions", "trials"]


def test_choices_are_written_to_the_journal_and_anew_by_a_resumed_study(tmp_path):
    journal = tmp_path / "studies" / "one.journal"

    def record():
        study = weak()
        study.journal = journal
        run(study)
        storage = JournalStorage(JournalFileBackend(str(journal)))
        (recorded,) = optuna.get_all_study_summaries(storage)
        return [(t.params, t.value) for t in optuna.load_study(study_name=recorded.study_name, storage=storage).trials]

    first = record()
    assert len(first) > 5
    assert record() == first


# --- the validity floor ---


def mostly_unreadable(request):
    """Right and seldom readable with demonstrations, readable and wrong without."""
    if has_demonstrations(request):
        return rate_well(request) if gold_of(request) != 3 else "no idea"
    return json_reply(1 if gold_of(request) > 3 else 5)


def test_a_candidate_under_the_validity_floor_cannot_win():
    result = run(weak(mostly_unreadable))
    assert result.winner.demonstrations == ()
    assert result.under_floor is not None
    assert (result.under_floor.validity, result.under_floor.score) == (pytest.approx(0.8), pytest.approx(0.8))


# --- modes ---


@pytest.mark.parametrize("mode", [AnswerMode.GUIDED, AnswerMode.EXPECTED])
def test_other_modes_are_searched_with_their_own_demonstrations(mode):
    seen = set()

    def script(request):
        seen.update(turn["content"] for turn in request.messages if turn["role"] == "assistant")
        rating = gold_of(request) if has_demonstrations(request) else 3
        if mode is AnswerMode.GUIDED:
            return json_reply(rating)
        return EngineReply(
            str(rating), "stop", prompt_tokens=10, completion_tokens=1, first_token_logprobs=((str(rating), 0.0),)
        )

    result = run(weak(script, judge=JUDGE.model_copy(update={"mode": mode})))
    assert result.winner.demonstrations
    assert all(text.isdigit() for text in seen) == (mode is AnswerMode.EXPECTED)


# --- proposed instructions ---


def test_an_instruction_of_the_reflection_model_can_win():
    def script(request):
        return json_reply(gold_of(request) if PROPOSAL in request.messages[0]["content"] else 3)

    result = run(make_study(script, reflect=propose))
    assert result.winner.instruction == PROPOSAL


def test_a_storm_of_refused_proposals_leaves_fixed_variants_and_demonstrations():
    def reflect(prompt):
        return propose(prompt).replace(PROPOSAL, "Rate from 1 to 10.")

    result = run(make_study(rate_well, reflect=reflect))
    assert result.winner == PROGRAM
    assert result.refusals == {"scale_change": 3}
    tried = {trial.program.instruction for trial in result.trials}
    assert tried <= {PROGRAM.instruction, *(one.instruction for one in fixed_variants(make_study(rate_well)))}


ANOTHER_LANGUAGE = "Bewerte jedes Dokument danach, ob es die Frage beantwortet."


@pytest.mark.parametrize("reply", ["", "lorem ipsum", "{", "[[ ## proposed_instruction ## ]]", "\ud800", "给文件打分"])
def test_a_junk_reflection_ends_cleanly(reply):
    result = run(make_study(readable_with_demonstrations, reflect=lambda prompt: reply))
    assert result.winner.demonstrations
    assert sum(result.refusals.values()) == 3


@pytest.mark.parametrize("text", ["", "lorem ipsum dolor " * 40, "}{" * 50, ANOTHER_LANGUAGE, "\ud800", "x" * 50_000])
def test_junk_in_the_right_form_never_wins_over_what_is_right(text):
    def script(request):
        return rate_well(request) if PROGRAM.instruction in request.messages[0]["content"] else json_reply(3)

    result = run(make_study(script, reflect=lambda prompt: propose(prompt).replace(PROPOSAL, text)))
    assert result.winner == PROGRAM


def test_one_bad_proposal_costs_no_other():
    def reflect(prompt):
        return "I cannot help with that." if "(Proposal 1.)" in prompt else propose(prompt)

    result = run(make_study(rate_well, reflect=reflect))
    assert result.refusals == {"refusal": 1}
    assert PROPOSAL in {trial.program.instruction for trial in result.trials}


def test_an_outage_of_the_reflection_model_raises():
    def reflect(prompt):
        raise OUTAGE

    study = make_study(rate_well, reflect=reflect)
    with pytest.raises(OutageError, match="the engine is down"):
        run(study)
    assert {trial.origin.get("stage", "baseline") for trial in study.trials} <= {"baseline", "demonstrations"}


def test_an_outage_that_passes_raises_too():
    replies = iter([OUTAGE])

    def reflect(prompt):
        error = next(replies, None)
        if error:
            raise error
        return propose(prompt)

    with pytest.raises(OutageError, match="the engine is down"):
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


# --- unusual data and judges ---


def test_one_pair_rated_twice_is_judged_once_and_scored_by_both_ratings():
    twice = [e for n in range(5) for e in (make_example(1.0, number=n), make_example(5.0, number=n))]
    data = OptimizationData(train=make_examples(20), val=tuple(twice))
    study = weak(lambda request: json_reply(1), data=data)
    result = run(study)
    assert all(trial.score == pytest.approx(0.5) for trial in result.trials if trial.is_full)
    assert study.budget.used <= 5 * len({trial.program.digest for trial in result.trials}) + 12


def test_long_sections_leave_room_for_variants():
    long = PROGRAM.with_sections({"a": "Rate it. " * 1_800, "b": "Be fair. " * 1_800})
    study = weak(judge=JUDGE.model_copy(update={"program": long}))
    assert len({trial.program.instruction for trial in run(study).trials}) > 1


def test_there_are_at_most_two_trials_for_each_choice():
    data = OptimizationData(train=(make_example(3.0),), val=make_examples(10, "val"))
    trials = run(weak(rate_well, data=data, budget=3_000)).trials
    num_choices = 3 * 4  # no set, the human's reason, the judge's
    assert sum(not t.is_full and t.split == "val" for t in trials) <= 2 * num_choices


def test_it_is_told_that_nothing_can_be_shown(caplog):
    run(weak(rate_well, data=OptimizationData(train=(make_example(3.5),), val=make_examples(10, "val"))))
    assert "no demonstrations" in caplog.text

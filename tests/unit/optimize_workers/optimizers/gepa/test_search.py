"""GEPA: finds a better section, survives bad proposals, and never scores an outage."""

import random
import re
import threading
import time

import pytest

from judge_serve.judging.errors import OutageError
from optimize_workers.dataset.splits import OptimizationData
from optimize_workers.optimizers.gepa.revision import extract_text
from optimize_workers.optimizers.gepa.search import BROOD, MAX_FRUITLESS_PROPOSALS, MINIBATCH, GepaOptimizer
from optimize_workers.statistics.racing import DROP_BELOW
from tests.builders import PROGRAM, make_examples
from tests.fakes import json_reply
from tests.unit.optimize_workers.optimizers.searches import (
    DATA,
    fails_after,
    gold_of,
    helped_by_some,
    improving,
    make_study,
    pool_of,
    rate_well,
    told,
)

LARGER = OptimizationData(train=make_examples(40), val=make_examples(60, "val"))
BETTER = "Rate by the evidence that a document states."
OUTAGE = OutageError("the engine is down")


def better_with_evidence(request):
    """Right once an instruction speaks of evidence, always 3 before."""
    return json_reply(gold_of(request) if BETTER in request.messages[0]["content"] else 3)


def propose_better(prompt):
    return f"The judge ignores what documents state.\n```\n{BETTER}\n```"


def run(study):
    return GepaOptimizer().run(study)


def test_an_improved_section_is_found():
    result = run(make_study(better_with_evidence, reflect=propose_better))
    assert BETTER in result.winner.instruction
    best = max(trial.score for trial in result.trials if trial.is_full)
    assert (best, result.trials[0].score) == (1.0, pytest.approx(0.875))  # the constant 3 loses 12.5


def test_the_winner_keeps_everything_but_the_sections():
    judge_program = PROGRAM.model_copy(update={"bullets": ("Read all.",)})
    study = make_study(better_with_evidence, reflect=propose_better)
    study.judge = study.judge.model_copy(update={"program": judge_program})
    winner = run(study).winner
    assert winner.bullets == ("Read all.",)
    assert list(winner.sections) == list(PROGRAM.sections)


def test_the_first_trial_is_the_baseline_on_validation_examples():
    trial = run(make_study(better_with_evidence, reflect=propose_better)).trials[0]
    assert (trial.program, trial.is_full) == (PROGRAM, True)


@pytest.mark.parametrize("budget", [24, 25, 31, 50, 77, 100, 200])
def test_the_budget_is_never_exceeded(budget):
    study = make_study(better_with_evidence, budget=budget, reflect=propose_better)
    run(study)
    assert pool_of(study).calls == study.budget.used <= budget
    assert study.budget.used > 0


def test_a_judge_that_is_right_already_is_left_alone():
    study = make_study(rate_well, reflect=lambda prompt: pytest.fail("nothing to improve"))
    assert run(study).winner == PROGRAM


def test_unreadable_replies_lower_their_own_examples_only():
    study = make_study(lambda request: "no idea" if gold_of(request) in (1, 2) else rate_well(request))
    study.reflect = lambda prompt: ""
    baseline = run(study).trials[0]
    drawn = study.validation_examples(max(4, 100 // 6))
    expected = sum(e.gold_rating > 2 for e in drawn) / len(drawn)
    assert expected == 0.6
    assert (baseline.validity, baseline.score) == (pytest.approx(0.6), pytest.approx(0.6))


def test_unreadable_replies_reach_the_reflection_prompt_first():
    prompts = []

    def reflect(prompt):
        prompts.append(prompt)
        return ""

    run(make_study(lambda request: "no idea" if gold_of(request) == 5 else json_reply(3), reflect=reflect))
    shown = next(prompt for prompt in prompts if "could not be read" in prompt)
    assert shown.index("could not be read") < shown.index("too")


def test_reflection_sees_training_examples_only():
    prompts = []

    def reflect(prompt):
        prompts.append(prompt)
        return propose_better(prompt)

    run(make_study(better_with_evidence, reflect=reflect))
    assert prompts
    hidden = {e.item.document for e in DATA.val}
    assert not any(document in prompt for prompt in prompts for document in hidden)


# --- bad proposals ---


@pytest.mark.parametrize("reply", ["", "   ", "```\n```", "``````"])
def test_an_empty_reflection_ends_cleanly(reply):
    result = run(make_study(better_with_evidence, reflect=lambda prompt: reply))
    assert result.winner == PROGRAM
    assert set(result.refusals) == {"empty"}


def test_a_junk_reflection_costs_trials_but_wins_nothing():
    result = run(make_study(better_with_evidence, reflect=lambda prompt: "lorem ipsum {} \ud800 %s"))
    assert result.winner == PROGRAM


def test_a_storm_of_refused_proposals_ends_with_the_baseline():
    study = make_study(better_with_evidence, budget=2_000, reflect=lambda prompt: "```\nRate from 1 to 10.\n```")
    result = run(study)
    assert result.winner == PROGRAM
    assert set(result.refusals) == {"scale_change"}
    assert MAX_FRUITLESS_PROPOSALS <= result.refusals["scale_change"] <= 100  # those under way are finished
    assert study.budget.left > 1_000


def test_a_refused_proposal_costs_no_judge_call_of_its_own():
    study = make_study(better_with_evidence, budget=2_000, reflect=lambda prompt: "```\nRate from 1 to 10.\n```")
    refused = run(study).refusals["scale_change"]
    num_lessons = refused // BROOD
    assert sorted(pool_of(study).waves) == [MINIBATCH] * num_lessons + [len(DATA.val)]


def test_repeating_the_text_is_no_proposal():
    result = run(make_study(better_with_evidence, reflect=lambda prompt: prompt.split("```")[1]))
    assert set(result.refusals) == {"unchanged"}


# --- outages ---


@pytest.mark.parametrize("num_calls", [0, 3, 12, 17, 30])
def test_an_outage_of_the_engine_raises_and_scores_nothing(num_calls):
    study = make_study(fails_after(num_calls, better_with_evidence, OUTAGE), reflect=propose_better)
    with pytest.raises(OutageError, match="the engine is down"):
        run(study)
    assert sum(trial.n for trial in study.trials) <= num_calls
    assert all(trial.validity == 1.0 for trial in study.trials)


def test_an_outage_of_the_reflection_model_raises():
    def reflect(prompt):
        raise OUTAGE

    with pytest.raises(OutageError, match="the engine is down"):
        run(make_study(better_with_evidence, reflect=reflect))


# --- repeatable ---


def test_the_same_seed_makes_the_same_trials():
    def trials(seed):
        result = run(make_study(better_with_evidence, seed=seed, reflect=propose_better))
        return [trial.as_dict() for trial in result.trials]

    assert trials(3) == trials(3)


# --- reading a reflection ---


@pytest.mark.parametrize(
    ("reply", "text"),
    [
        ("```\nNew text.\n```", "New text."),
        ("Thoughts.\n```text\nNew text.\n```\nMore.", "New text."),
        ("```\nshort\n```\n```\nthe longer one\n```", "the longer one"),
        ("New text.", "New text."),
    ],
)
def test_the_fenced_text_is_taken(reply, text):
    assert extract_text(reply) == text


# --- many at once ---


def test_the_order_in_which_calls_and_reflections_return_changes_nothing():
    def slow(prompt):
        time.sleep(random.uniform(0.0, 0.01))
        return improving(prompt)

    def slow_judge(request):
        time.sleep(random.uniform(0.0, 0.0005))
        return helped_by_some(request)

    plain = make_study(helped_by_some, budget=900, reflect=improving)
    shaken = [make_study(slow_judge, budget=900, reflect=slow) for _ in range(3)]
    winner = run(plain).winner
    assert len(plain.trials) > 20
    for study in shaken:
        assert run(study).winner == winner
        assert told(study) == told(plain)
        assert study.budget.used == plain.budget.used


def test_children_that_passed_are_put_together():
    study = make_study(helped_by_some, budget=900, reflect=improving)
    winner = run(study).winner
    merged = [trial for trial in study.trials if "merged" in trial.origin]
    assert merged
    assert max(trial.score for trial in study.trials if trial.is_full) > study.trials[0].score
    assert sum(f"fact {letter} first" in winner.instruction for letter in "aceg") >= 2


def test_a_candidate_that_only_a_part_of_the_examples_judged_never_wins():
    study = make_study(helped_by_some, budget=900, reflect=improving)
    winner = run(study).winner
    assert any(t.program == winner and t.is_full and t.n == len(DATA.val) for t in study.trials)


def test_refused_proposals_are_told():
    study = make_study(better_with_evidence, reflect=lambda prompt: "```\nRate from 1 to 10.\n```")
    told = []
    study.on_refusal = told.append
    result = run(study)
    assert len(told) == result.refusals["scale_change"]
    assert told[0]["refused"] == "scale_change" and told[0]["origin"]["parents"] == [PROGRAM.digest]


def test_tokens_that_run_out_end_the_search_with_what_was_found():
    study = make_study(better_with_evidence, budget=900, reflect=propose_better)
    study.budget.max_tokens = 20_000
    assert run(study).winner.instruction
    assert study.budget.used_tokens <= 20_000


def test_a_refusal_says_what_was_found():
    study = make_study(better_with_evidence, reflect=lambda prompt: "```\nRate from 1 to 10.\n```")
    told = []
    study.on_refusal = told.append
    run(study)
    assert {refusal["detail"] for refusal in told} == {"1 to 10"}


# --- generations ---


def spoiling(prompt):
    """A line more: the odd lessons' proposals hold one that helps, the others do harm on validation examples."""
    number = int(re.search(r"Proposal (\d+)", prompt).group(1))
    text = re.search(r"```\n(\[rubric\].*?)\n```", prompt, re.DOTALL).group(1)
    line = "Look at facts first." if number % 8 in (1, 2, 3, 4) else f"Mind {'abcdefgh'[number % 8] * 4} first."
    return "```\n" + text.replace("Rate the pair.", f"Rate the pair.\n{line}", 1) + "\n```"


def spoiled_on_validation(request):
    """Training examples get better with every line, validation examples worse with those that harm."""
    gold, system = gold_of(request), request.messages[0]["content"]
    if "of train" in request.messages[-1]["content"]:
        return json_reply(gold if "first." in system else gold % 5 + 1)
    if "Mind" in system:
        return json_reply(1 if gold > 2 else 5)
    return json_reply(gold if "facts first" in system else min(5, gold + 1))


def test_a_pack_that_lost_is_tried_in_halves_until_the_good_change_is_alone():
    study = make_study(spoiled_on_validation, budget=900, reflect=spoiling)
    winner = run(study).winner
    assert "Look at facts first." in winner.instruction and "Mind" not in winner.instruction
    packs = [set(t.origin["proposals"]) for t in study.trials if "proposals" in t.origin]
    assert any(half < pack for pack in packs for half in packs)


def test_the_first_generations_start_from_the_baseline_and_later_ones_from_what_was_found():
    study = make_study(helped_by_some, budget=900, reflect=improving)
    run(study)
    parents = [t.origin["parents"][0] for t in study.trials if t.split == "train"]
    assert parents[0] == PROGRAM.digest
    assert parents[-1] != PROGRAM.digest


def test_one_generation_at_a_time_begins_nothing_before_its_race():
    study = make_study(helped_by_some, budget=900, reflect=improving, data=LARGER)
    GepaOptimizer(ahead=1).run(study)
    first_race = next(t.number for t in study.trials[1:] if t.split == "val")
    num_children = len(study.trials[1:first_race])
    waves = pool_of(study).waves
    before = waves[: waves.index(18)]  # the first stage of a race is 30 % of 60 examples
    assert before.count(MINIBATCH) == num_children + num_children / BROOD


def test_calls_that_racing_saved_are_counted():
    study = make_study(spoiled_on_validation, budget=900, reflect=spoiling, data=LARGER)
    result = run(study)
    raced = [t for t in study.trials if t.split == "val" and not t.is_full]
    dropped = [t for t in raced if t.origin["chance"] < DROP_BELOW]
    assert dropped
    assert result.calls_saved == sum(len(LARGER.val) - t.n for t in dropped)


def test_only_candidates_judged_on_all_examples_count_as_fully_judged():
    study = make_study(spoiled_on_validation, budget=2_000, reflect=spoiling, data=LARGER)
    run(study)
    raced = [trial for trial in study.trials if trial.split == "val"]
    assert {trial.n for trial in raced} == {18, 60}  # the first stage of 30 %, and all
    assert all(trial.is_full is (trial.n == 60) for trial in raced)


def test_trials_count_the_calls_of_all_that_was_decided_so_far():
    study = make_study(helped_by_some, budget=900, reflect=improving)
    run(study)
    calls = [trial.calls for trial in study.trials]
    assert calls == sorted(calls)
    assert calls[-1] <= study.budget.used <= 900


def test_the_budget_is_spent():
    study = make_study(helped_by_some, budget=900, reflect=improving)
    run(study)
    assert study.budget.left < 100


def test_an_interruption_leaves_no_waiting_thread():
    def interrupted(prompt):
        raise KeyboardInterrupt

    before = set(threading.enumerate())
    with pytest.raises(KeyboardInterrupt):
        run(make_study(better_with_evidence, reflect=interrupted))
    deadline = time.monotonic() + 5
    while time.monotonic() < deadline and any(t.name.startswith("gepa") for t in set(threading.enumerate()) - before):
        time.sleep(0.01)
    assert not [t for t in set(threading.enumerate()) - before if t.name.startswith("gepa")]

"""MIPROv2 under limits: tokens may run out at any moment, and only what a race dropped counts as saved."""

import random
import time

import pytest

from judge_serve.judging import EngineReply
from judge_serve.judging.judge import Sampling
from optimize_workers.dataset.splits import OptimizationData
from optimize_workers.optimizers.mipro.search import MiproOptimizer, MiproPlan
from tests.builders import JUDGE, PROGRAM, make_examples
from tests.fakes import json_reply
from tests.unit.optimize_workers.optimizers.searches import (
    gold_of,
    has_demonstrations,
    make_study,
    propose,
    readable_with_demonstrations,
)


@pytest.mark.parametrize("max_tokens", [1_000, 20_000, 60_000])
def test_tokens_that_run_out_end_the_search_with_what_was_found(max_tokens):
    study = make_study(readable_with_demonstrations, budget=900, reflect=propose)
    study.budget.max_tokens = max_tokens
    result = MiproOptimizer().run(study)
    assert study.budget.used_tokens <= max_tokens
    assert result.winner == PROGRAM or any(t.is_full and t.program == result.winner for t in result.trials)


def noisy(request):
    """Often right with demonstrations; wrong in ways that differ from program to program."""
    text = "".join(turn["content"] for turn in request.messages)
    drawn = random.Random(text).random()
    gap = 0 if drawn < (0.7 if has_demonstrations(request) else 0.3) else 1 if drawn < 0.9 else 2
    return json_reply(gold_of(request) + gap if gold_of(request) + gap <= 5 else gold_of(request) - gap)


LARGER = OptimizationData(train=make_examples(40), val=make_examples(40, "val"))
SMALL_PLAN = MiproPlan(num_validation=40, minibatch=8, num_trials=10, num_sets=5, num_instructions=4)


def spend(max_tokens, *, delays=None):
    """A search whose last part is a race, under a limit of tokens."""
    rng = random.Random(delays)

    def script(request):
        if delays is not None:
            time.sleep(rng.random() / 300)
        num_chars = sum(len(turn["content"]) for turn in request.messages)
        return EngineReply(noisy(request), "stop", prompt_tokens=num_chars // 4, completion_tokens=8)

    brief = JUDGE.model_copy(update={"sampling": Sampling(max_tokens=8)})  # what a call can cost is near what it does
    study = make_study(script, budget=2_000, reflect=propose, data=LARGER, judge=brief)
    study.budget.max_tokens = max_tokens
    return MiproOptimizer(SMALL_PLAN).run(study), study.budget


def test_tokens_may_run_out_at_any_moment_the_last_race_included():
    _, budget = spend(10**9)
    used = budget.used_tokens
    for max_tokens in range(used // 2, used + 1, max(1, used // 40)):
        result, budget = spend(max_tokens)
        assert budget.used_tokens <= max_tokens
        assert result.trials


def test_under_a_limit_of_tokens_the_order_of_completion_changes_nothing():
    limit = spend(10**9)[1].used_tokens * 2 // 3
    first, *others = [[t.as_dict() for t in spend(limit, delays=seed)[0].trials] for seed in range(3)]
    assert all(other == first for other in others)


def test_a_baseline_that_cannot_be_paid_for_starts_nothing_else():
    result, budget = spend(300)
    assert result.trials == ()
    assert budget.used == 0


def test_calls_that_no_race_could_have_spent_are_not_called_saved():
    study = make_study(noisy, budget=40 + 12 + 8 * 3, reflect=propose, data=LARGER)
    result = MiproOptimizer(SMALL_PLAN).run(study)
    assert result.calls_saved == 0


def test_dropped_choices_are_called_saved():
    result, budget = spend(None)
    tried = {t.program.digest for t in result.trials if t.split == "val"}
    full = {t.program.digest for t in result.trials if t.is_full}
    assert 0 < result.calls_saved <= 40 * len(tried - full)
    assert budget.used + result.calls_saved <= 40 * len(tried) + 12

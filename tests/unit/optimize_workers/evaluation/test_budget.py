"""Budgets: nothing is sent that could exceed calls, tokens or dollars."""

import threading

import pytest

from judge_serve.catalogue.entries import Prices, prices_of
from optimize_workers.evaluation.budget import Budget, BudgetExceededError, Cost, CostEstimator


def test_a_budget_counts_down():
    budget = Budget(10)
    promise = budget.promise(4)
    assert (budget.used, budget.promised, budget.left) == (0, 4, 6)
    budget.settle(promise, Cost(3))
    assert (budget.used, budget.promised, budget.left) == (3, 0, 7)


def test_a_released_promise_costs_nothing():
    budget = Budget(10, max_tokens=100)
    budget.release(budget.promise(4, Cost(4, 60)))
    assert (budget.used, budget.left, budget.tokens_left) == (0, 10, 100)


def test_what_was_spent_of_a_released_promise_is_counted():
    budget = Budget(10)
    promise = budget.promise(6)
    budget.settle(budget.promise(4, out_of=promise), Cost(3))
    budget.release(promise)
    assert (budget.used, budget.promised, budget.calls_left) == (3, 0, 7)


def test_what_is_drawn_from_a_promise_takes_nothing_else():
    budget = Budget(10)
    promise = budget.promise(6)
    drawn = budget.promise(4, out_of=promise)
    assert (promise.calls, budget.calls_left) == (2, 4)
    budget.settle(drawn, Cost(3))
    assert (promise.calls, promise.spent, budget.used) == (3, 3, 0)
    budget.settle(promise)
    assert (budget.used, budget.calls_left) == (3, 7)


def test_more_than_a_promise_holds_is_a_mistake():
    budget = Budget(10)
    with pytest.raises(ValueError, match="5 judge calls drawn from a promise that holds 4"):
        budget.promise(5, out_of=budget.promise(4))


def test_settling_twice_counts_once():
    budget = Budget(10)
    promise = budget.promise(4)
    for _ in range(2):
        budget.settle(promise, Cost(4))
        budget.release(promise)
    assert (budget.used, budget.calls_left) == (4, 6)


def test_what_is_under_way_when_all_is_settled_counts_when_it_is_in():
    budget = Budget(10)
    promise = budget.promise(8)
    drawn = budget.promise(5, out_of=promise)
    budget.settle_all()
    assert (budget.used, budget.calls_left) == (0, 5)
    budget.settle(drawn, Cost(2))
    assert (budget.used, budget.calls_left) == (2, 8)


def test_without_limits_nothing_is_said_about_tokens_and_dollars():
    assert (Budget(10).tokens_left, Budget(10).usd_left, Budget(10).has_token_limits) == (None, None, False)


@pytest.mark.parametrize(
    ("budget", "worst", "message"),
    [
        (Budget(2), Cost(3), "3 judge calls asked, 2 of 2 left"),
        (Budget(9, max_tokens=100), Cost(3, 101), "up to 101 tokens asked, 100 of 100 left"),
        (Budget(9, max_usd=0.5), Cost(3, 10, 0.51), "up to 0.5100 USD asked, 0.5000 of 0.5 left"),
    ],
)
def test_what_could_exceed_a_limit_is_refused_and_nothing_is_taken(budget, worst, message):
    with pytest.raises(BudgetExceededError, match=message):
        budget.promise(3, worst)
    assert (budget.used, budget.used_tokens, budget.used_usd) == (0, 0, 0.0)


def test_a_settled_wave_counts_what_it_really_cost():
    budget = Budget(10, max_tokens=1_000, max_usd=1.0)
    promise = budget.promise(2, Cost(2, 600, 0.6))
    assert (budget.tokens_left, budget.usd_left) == (400, 0.4)
    budget.settle(promise, Cost(2, 200, 0.25))
    assert (budget.used, budget.tokens_left, budget.usd_left) == (2, 800, pytest.approx(0.75))


def test_the_calls_left_are_those_that_tokens_and_dollars_allow():
    budget = Budget(100, max_tokens=1_000, max_usd=3.0)
    assert budget.left == 100
    budget.note_worst_call(Cost(1, 150, 0.1))
    assert budget.left == 6  # 1,000 / 150
    budget.note_worst_call(Cost(1, 10, 1.0))
    assert budget.left == 3  # 3.0 / 1.0


def test_many_threads_never_take_more_than_there_is():
    budget = Budget(1_000)

    def take():
        for _ in range(100):
            try:
                budget.settle(budget.promise(3), Cost(3))
            except BudgetExceededError:
                return

    threads = [threading.Thread(target=take) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert budget.used == 999


def test_an_unknown_tokenizer_is_taken_to_need_a_token_a_byte():
    assert CostEstimator(None).worst(1_000, 50) == Cost(1, 1_051, 0.0)


def test_the_estimate_learns_from_counted_prompts_with_a_margin():
    estimator = CostEstimator(Prices(prompt=2.0, completion=8.0))
    estimator.learn(prompt_bytes=1_000, prompt_tokens=200, completion_tokens=10)
    assert estimator.worst(1_000, 50) == Cost(1, 301, pytest.approx((2 * 251 + 8 * 50) / 1e6))


def test_hidden_reasoning_counts_as_completion():
    estimator = CostEstimator(None)
    estimator.learn(prompt_bytes=100, prompt_tokens=100, completion_tokens=3_000)
    assert estimator.worst(100, 50).tokens == 126 + 3_000


def test_the_catalogue_knows_prices_of_endpoints_and_that_the_embedded_model_is_free():
    assert prices_of("o3") == Prices(prompt=2.0, completion=8.0)
    assert prices_of("embedded").usd(10**6, 10**6) == 0.0
    assert prices_of("gpt-oss-120b") is None
    assert prices_of("never heard of") is None

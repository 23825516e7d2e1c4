"""The arms of the MIPROv2 benchmark: stages and batches as they were, figures of the program that came out."""

import pytest

from benchmarks.landscape import Landscape, LandscapeConfig
from benchmarks.landscape_engines import NO_LATENCY, LatencyConfig
from benchmarks.stock_mipro import MAX_DEMONSTRATIONS, MINIBATCH, NEVER, STAGES, search

NUM_TRIALS, NUM_FULL = 6, 3  # the baseline's evaluation, one after five trials, one at the end
CONFIG = LandscapeConfig(seed=3, num_test=50, malformed_rate=0.25, malformed_left=0.35)
BATCHES = LatencyConfig(judge_median_s=1e-6, judge_sigma=0.0, reflection_median_s=1e-6, reflection_sigma=0.0)


@pytest.fixture(scope="module")
def stock():
    """One search in which every request takes a microsecond, so that ceilings count batches."""
    return search(CONFIG, BATCHES, num_threads=1, num_trials=NUM_TRIALS, max_errors=NEVER)


def test_stock_asks_for_what_the_paper_says(stock):
    run = stock.result
    assert run.library_calls == NUM_TRIALS * MINIBATCH + NUM_FULL * 100
    assert run.judge_calls > run.library_calls  # and some for bootstrapping
    assert run.reflections == 10 + 1 + 6 * 3  # observations, summary; program, module and instruction six times


def test_stages_of_stock_follow_each_other(stock):
    run = stock.result
    assert tuple(run.stages_s) == tuple(run.stage_ceilings_s) == STAGES
    assert sum(run.stages_s.values()) < run.wall_s
    assert run.ceiling_s == pytest.approx(sum(run.stage_ceilings_s.values()))


def test_stock_bootstraps_and_proposes_one_request_after_the_other(stock):
    run = stock.result
    assert run.stage_ceilings_s["demonstrations"] == pytest.approx((run.judge_calls - run.library_calls) * 1e-6)
    assert run.stage_ceilings_s["instructions"] == pytest.approx(run.reflections * 1e-6)


def test_an_evaluation_of_stock_is_one_batch(stock):
    rounds = NUM_TRIALS + 2 * NUM_FULL  # 100 examples are two rounds in 64 slots
    assert stock.result.stage_ceilings_s["trials"] == pytest.approx(rounds * 1e-6)
    assert len(stock.result.progress) == NUM_FULL


def test_stock_starts_from_the_baseline_and_reports_its_best_full_evaluation(stock):
    run = stock.result
    assert run.progress[0].val_nmse == pytest.approx(run.baseline_val_nmse, abs=0.01)
    assert 100 - stock.score == pytest.approx(min(point.val_nmse for point in run.progress), abs=0.01)
    assert len(stock.trial_scores) == NUM_TRIALS + len(run.progress)
    assert 0 < run.demonstrations <= MAX_DEMONSTRATIONS


def test_threads_and_latency_do_not_change_what_stock_finds(stock):
    quick = LatencyConfig(judge_median_s=0.0001, reflection_median_s=0.0001)
    slow = search(CONFIG, quick, num_threads=64, num_trials=NUM_TRIALS, max_errors=NEVER).result
    assert (slow.progress, slow.rules, slow.test_nmse) == (
        stock.result.progress,
        stock.result.rules,
        stock.result.test_nmse,
    )


def test_malformed_replies_end_the_evaluations_of_stock_by_default():
    malformed = LandscapeConfig(seed=3, num_test=50, malformed_rate=0.4)
    found = search(malformed, NO_LATENCY, num_threads=1, num_trials=NUM_TRIALS)
    landscape = Landscape(malformed)
    assert found.score == 0.0 < 100 - landscape.nmse(frozenset(), landscape.data.val)

"""The arms of the MIPROv2 benchmark: stages and batches as they were, figures of the program that came out."""

import pytest

from benchmarks.arms import Job
from benchmarks.landscape import Landscape, LandscapeConfig
from benchmarks.landscape_engines import NO_LATENCY, LatencyConfig
from benchmarks.our_mipro import PLAN, audit, run_ours, stage_ceilings_s, stages_s
from benchmarks.reported_validity import StageValidity, pooled
from benchmarks.stock_mipro import MAX_DEMONSTRATIONS, MINIBATCH, NEVER, STAGES, search

NUM_TRIALS, NUM_FULL = 6, 3  # the baseline's evaluation, one after five trials, one at the end
CONFIG = LandscapeConfig(seed=3, num_test=50, malformed_rate=0.25, malformed_left=0.35)
BATCHES = LatencyConfig(judge_median_s=1e-6, judge_sigma=0.0, reflection_median_s=1e-6, reflection_sigma=0.0)
SMALL = PLAN._replace(num_trials=NUM_TRIALS)


@pytest.fixture(scope="module")
def stock():
    """One search in which every request takes a microsecond, so that ceilings count batches."""
    return search(CONFIG, BATCHES, num_threads=1, num_trials=NUM_TRIALS, max_errors=NEVER)


# --- stock ---


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


# --- ours ---


@pytest.fixture(scope="module")
def ours():
    return run_ours(CONFIG, with_latency=False, plan=SMALL)


def test_ours_stays_within_the_calls_of_its_plan(ours):
    assert ours.judge_calls == ours.library_calls <= SMALL.worst_case
    first = ours.progress[0]
    assert first.val_nmse == pytest.approx(ours.baseline_val_nmse)
    assert 100 <= first.judge_calls <= 100 + SMALL.max_bootstrapping  # teachers judge beside the baseline
    assert ours.test_nmse < ours.baseline_test_nmse
    assert 0 < ours.demonstrations <= MAX_DEMONSTRATIONS


def test_both_arms_try_as_often(stock, ours):
    assert SMALL.worst_case >= stock.result.library_calls
    assert set(ours.stages_s) == set(stock.result.stages_s)


def test_ours_finds_the_same_again(ours):
    again = run_ours(CONFIG, with_latency=False, plan=SMALL)
    assert (again.rules, again.test_nmse, again.judge_calls) == (ours.rules, ours.test_nmse, ours.judge_calls)


def test_demonstrations_and_instructions_of_ours_start_together_and_trials_after_both():
    ends = {"demonstrations": 12.0, "instructions": 15.0, "trials": 25.0}
    assert stages_s(10.0, ends) == {"demonstrations": 2.0, "instructions": 5.0, "trials": 10.0}
    jobs = [
        Job(10.0, 12.0, (1.5,), in_slots=True),
        Job(10.0, 14.0, (3.5,), in_slots=False),
        Job(15.0, 25.0, (4.0, 9.0), in_slots=True),
    ]
    assert stage_ceilings_s(jobs, ends) == {"demonstrations": 1.5, "instructions": 3.5, "trials": 9.0}


# --- what is reported of validity ---


def test_what_ours_reports_is_what_was_sent():
    stages = audit(LandscapeConfig(seed=3, num_test=50, malformed_rate=0.4), SMALL)
    assert stages["minibatches"].judgments == NUM_TRIALS * MINIBATCH
    assert stages["demonstrations"].judgments > 0
    assert all(one.reported == pytest.approx(one.sent) and one.largest_error < 1e-9 for one in stages.values())
    assert all(0 < one.sent < one.judgments for one in stages.values())


def test_full_evaluations_report_the_exact_share_where_the_same_examples_are_unreadable():
    config = LandscapeConfig(seed=3, num_test=50, malformed_rate=0.4, malformed_by_example=True)
    assert audit(config, SMALL)["full evaluations"].validity == pytest.approx(0.6)


def test_pooled_validity_weighs_judgments_and_keeps_the_largest_error():
    one = {stage: StageValidity(10, 5.0, 5, 0.0) for stage in pooled([])}
    other = {stage: StageValidity(30, 25.0, 22, 0.1) for stage in pooled([])}
    total = pooled([one, other])["minibatches"]
    assert total == StageValidity(40, 30.0, 27, 0.1)
    assert total.validity == 0.75

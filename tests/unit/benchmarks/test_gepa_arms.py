"""The arms of the GEPA benchmark: counted in the engine, the same search whatever the threads, ours by its seam."""

import pytest

from benchmarks.gepa import compare
from benchmarks.landscape import Landscape, LandscapeConfig
from benchmarks.landscape_engines import NO_LATENCY, LatencyConfig
from benchmarks.our_gepa import run_ours
from benchmarks.stock_gepa import run_dspy_gepa, run_gepa_pxn

BUDGET = 500
STOCK = {"dspy_gepa": run_dspy_gepa, "gepa_pxn": run_gepa_pxn}


@pytest.mark.parametrize("arm", STOCK)
def test_stock_counts_what_the_engine_was_asked(arm):
    run = STOCK[arm](3, NO_LATENCY, num_threads=1, max_judge_calls=BUDGET)
    assert run.judge_calls == run.library_calls >= BUDGET
    assert run.progress[0] == (100, pytest.approx(run.baseline_val_nmse))
    assert len(run.progress) > 1
    assert run.test_nmse == Landscape(LandscapeConfig(seed=3)).nmse(
        frozenset(run.rules), Landscape(LandscapeConfig(seed=3)).test
    )


@pytest.mark.parametrize("arm", STOCK)
def test_threads_and_latency_do_not_change_what_stock_finds(arm):
    still = STOCK[arm](3, NO_LATENCY, num_threads=1, max_judge_calls=BUDGET)
    quick = LatencyConfig(judge_median_s=0.001, reflection_median_s=0.001)
    slow = STOCK[arm](3, quick, num_threads=64, max_judge_calls=BUDGET)
    assert (slow.progress, slow.rules, slow.judge_calls) == (still.progress, still.rules, still.judge_calls)
    assert 0 < slow.ceiling_s < slow.wall_s


def test_ours_stays_within_its_budget():
    run = run_ours(3, with_latency=False, max_judge_calls=700)
    assert run.judge_calls == run.library_calls <= 700
    assert run.progress[0].val_nmse == pytest.approx(run.baseline_val_nmse)


def test_an_arm_compared_with_itself_is_not_inferior():
    runs = [run_gepa_pxn(seed, NO_LATENCY, num_threads=1, max_judge_calls=BUDGET) for seed in range(2)]
    same = compare(runs, runs)
    assert same["nmse_ratio"] == 0.0 and same["nmse_ratio_ci95"] == [0.0, 0.0]
    assert same["calls_to_target_ratio"] == 1.0

"""The benchmark of the statistics: its keys, and a population whose true difference is what samples come to."""

import json

import numpy as np
import pytest

from benchmarks import statistics
from benchmarks.judge_population import SCENARIOS, Population, Scenario
from judge_serve.judging import Scale
from optimize_workers.statistics.metrics import gold_of, losses


def test_the_keys_are_there_with_few_trials():
    result = statistics.measure(False, statistics.Sizes(trials=2, pairs=100))
    json.dumps(result, allow_nan=False)
    assert set(result) == {
        "bootstrap_s",
        "coverage",
        "coverage_worst",
        "coverage_worst_scenario",
        "false_pass_rate",
        "detail",
    }
    assert result["bootstrap_s"] > 0
    assert 0 <= result["coverage"] <= 1 and 0 <= result["false_pass_rate"] <= 1
    assert set(result["detail"]["scenarios"]) == {scenario.name for scenario in SCENARIOS}
    assert result["detail"]["peak_rss_gb"] > result["detail"]["rss_before_gb"] / 2


@pytest.mark.parametrize("scenario", [SCENARIOS[3], SCENARIOS[4], SCENARIOS[5]], ids=lambda one: one.name)
def test_the_true_difference_is_that_of_a_large_sample(scenario):
    large = Scenario(**{**vars(scenario), "num_queries": 20_000})
    first, second, examples = Population(large).draw(np.random.default_rng(0))
    gold = gold_of(examples)
    found = [losses(judgments, gold, Scale()).mean() for judgments in (first, second)]
    assert found == pytest.approx(Population(scenario).true_nmse, abs=0.25)
    assert found[1] - found[0] == pytest.approx(Population(scenario).true_difference, abs=0.25)


def test_a_trial_covers_or_misses_on_one_side():
    found = statistics.simulate(Scenario("few", 40), 20)
    assert found["coverage"] == pytest.approx(1 - found["ends_below_truth"] - found["begins_above_truth"])
    assert found["coverage"] > 0.7
    assert found["false_pass_rate"] <= found["ends_below_truth"]

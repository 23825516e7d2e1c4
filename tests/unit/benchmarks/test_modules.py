"""Benchmark modules keep their promise: one JSON object on stdout, holding the keys that they name."""

import json
import os
import subprocess
import sys

import pytest

from benchmarks.running import ROOT


def run(name, timeout_s):
    alone = {key: value for key, value in os.environ.items() if not key.startswith("PYTEST_XDIST")}
    done = subprocess.run(
        [sys.executable, "-m", f"benchmarks.{name}", "--json"],
        cwd=ROOT,
        env=alone,  # one of several test processes, it would refuse to measure
        capture_output=True,
        text=True,
        timeout=timeout_s,
    )
    assert done.returncode == 0, done.stderr[-2_000:]
    return json.loads(done.stdout)


def test_the_judging_work_takes_microseconds():
    result = run("judging_work", 120)
    times = {key: value for key, value in result.items() if key.endswith("_us")}
    assert set(times) == {
        "render_us",
        "parse_us",
        "parse_prose_us",
        "read_expected_us",
        "call_key_us",
        "judge_pair_us",
    }
    assert all(0.0 < value < 1_000.0 for value in times.values())


@pytest.mark.nightly
@pytest.mark.ray
def test_the_evaluation_plane_reaches_its_figures():
    result = run("evaluation_plane", 300)
    assert result["ratio_vs_dspy_evaluate"] >= 10
    assert result["slot_utilization"] >= 0.95
    assert result["ledger_lookup_s"] < 1
    assert result["coordinator_rss_gb"] < 1.5


@pytest.mark.nightly
@pytest.mark.ray
def test_mipro_reaches_its_figures():
    result = run("mipro", 600)
    assert result["speedup_vs_dspy_mipro"] >= 4
    assert result["nmse_noninferior"] == 1
    assert result["validity_error"] <= 0.02 and result["validity_error_vs_sent"] < 1e-9
    assert result["stock_default_score"] == 0


@pytest.mark.nightly
def test_the_registry_reaches_its_figures():
    result = run("registry", 300)
    assert {key: result[key] < 1 for key in ("register_s", "resolve_s", "champion_s")} == dict.fromkeys(
        ("register_s", "resolve_s", "champion_s"), True
    )


@pytest.mark.nightly
@pytest.mark.ray
def test_an_endpoint_that_fails_in_all_ways_loses_doubles_and_invents_nothing():
    result = run("recovery", 1_200)
    keys = ("lost", "doubled", "invented", "ended_early", "unnoticed_changes", "false_alarms", "mislabelled")
    assert {key: result[key] for key in keys} == dict.fromkeys(keys, 0)

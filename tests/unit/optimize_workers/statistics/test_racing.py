"""Racing: stages, paired gains, and the chance to be ahead in the end; values worked by hand."""

import numpy as np
import pytest

from optimize_workers.statistics.racing import chance_to_win, paired_gains, race_stages


@pytest.mark.parametrize(("num", "stages"), [(100, [30, 100]), (20, [8, 20]), (8, [8]), (5, [5]), (1, [1])])
def test_stages_rise_to_all(num, stages):
    assert race_stages(num) == stages


def test_gains_are_bounded_so_that_one_unreadable_reply_decides_nothing():
    assert paired_gains([0.0, 1.0, 0.9], [1.0, 0.0, 0.8]).tolist() == pytest.approx([-0.25, 0.25, 0.1])


def test_all_judged_leaves_no_doubt():
    assert chance_to_win([0.9, 0.9], [0.8, 0.9], 2) == 1.0
    assert chance_to_win([0.8, 0.9], [0.9, 0.9], 2) == 0.0
    assert chance_to_win([0.9], [0.9], 1) == 0.0  # an equal does not win


def test_a_candidate_that_changes_nothing_will_not_win():
    assert chance_to_win([0.9] * 10, [0.9] * 10, 100) == 0.0


def test_the_chance_by_hand():
    """Gains 0.2 and 0 in turn on 8 of 16: mean 0.1, spread 0.1069, error 0.0267, so 3.74 errors ahead."""
    scores = [0.7, 0.5] * 4
    assert chance_to_win(scores, [0.5] * 8, 16) == pytest.approx(0.99991, abs=1e-5)


def test_no_trend_is_an_even_chance():
    assert chance_to_win([0.6, 0.4] * 5, [0.5] * 10, 100) == pytest.approx(0.5)


def test_the_chance_is_what_comes_true():
    """Candidates given a chance between 0.6 and 0.8 after 30 of 100 examples win about that often."""
    drawn = np.random.default_rng(0)
    chances, wins = [], []
    for _ in range(4_000):
        gains = drawn.normal(drawn.normal(0.0, 0.02), 0.1, 100).clip(-0.25, 0.25)
        chance = chance_to_win(gains[:30].tolist(), [0.0] * 30, 100)
        if 0.6 < chance < 0.8:
            chances.append(chance)
            wins.append(gains.mean() > 0.0)
    assert len(wins) > 300
    assert np.mean(wins) == pytest.approx(np.mean(chances), abs=0.08)

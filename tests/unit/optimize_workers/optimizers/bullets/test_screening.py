"""Screening: packs in which every bullet, or every pair of them, has its turn, and effects taken apart again."""

from collections import Counter
from itertools import combinations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from optimize_workers.optimizers.bullets.screening import balanced_packs, covering_packs, fit_effects, observe


def rng(seed=0):
    return np.random.default_rng(seed)


@given(st.integers(1, 40), st.integers(1, 20), st.integers(0, 5))
def test_every_bullet_is_in_one_pack_of_at_most_the_size(count, size, seed):
    packs = balanced_packs(range(count), size, rng(seed))
    assert sorted(number for pack in packs for number in pack) == list(range(count))
    assert max(map(len, packs)) <= size
    assert max(map(len, packs)) - min(map(len, packs)) <= 1


@given(st.integers(2, 40), st.integers(2, 20), st.integers(0, 5))
def test_every_two_bullets_stand_together_in_a_pack_of_at_most_the_size(count, size, seed):
    packs = covering_packs(range(count), size, rng(seed))
    covered = {pair for pack in packs for pair in combinations(pack, 2)}
    assert covered == set(combinations(range(count), 2))
    assert max(map(len, packs)) <= size


def test_60_bullets_are_covered_by_28_packs_of_16():
    """Eight groups of seven or eight: 8 * 7 / 2 packs of two groups each."""
    assert len(covering_packs(range(60), 16, rng())) == 28


def test_packs_follow_from_the_seed():
    assert balanced_packs(range(20), 5, rng(1)) == balanced_packs(range(20), 5, rng(1))
    assert balanced_packs(range(20), 5, rng(1)) != balanced_packs(range(20), 5, rng(2))


def test_an_observation_by_hand():
    """Gains 0.2 and 0: mean 0.1, variance 0.02 over 2 examples."""
    observed = observe([3, 4], [0.2, 0.0])
    assert (observed.members, observed.gain) == ((3, 4), pytest.approx(0.1))
    assert observed.variance == pytest.approx(0.01)


def test_equal_gains_are_not_taken_for_certain():
    assert observe([0], [0.0] * 4).variance == pytest.approx(0.02**2 / 4)


def test_effects_are_taken_apart_again():
    """Packs of 4 of 12 bullets; the first adds 0.05, the second takes 0.05, the others do nothing."""
    drawn, effects = rng(3), np.zeros(12)
    effects[:2] = 0.05, -0.05
    observations = []
    for _ in range(60):
        for pack in balanced_packs(range(12), 4, drawn):
            gains = effects[list(pack)].sum() + drawn.normal(0.0, 0.1, 16)
            observations.append(observe(pack, gains.tolist()))
    found = fit_effects(observations, 12)
    assert found[0].gain == pytest.approx(0.05, abs=0.012)
    assert found[1].gain == pytest.approx(-0.05, abs=0.012)
    assert found[0].z > 5 and found[1].z < -5
    assert max(abs(effect.z) for effect in found[2:]) < 3


def test_what_was_hardly_observed_is_not_sure():
    """One pack of two: neither of them is known to be the one."""
    found = fit_effects([observe([0, 1], [0.05] * 16)], 3)
    assert found[0] == pytest.approx(found[1])
    assert found[0].z < 1.5
    assert found[2].gain == 0.0


def test_a_pack_holds_each_bullet_once():
    counts = Counter(number for pack in covering_packs(range(9), 4, rng()) for number in set(pack))
    assert set(counts) == set(range(9))

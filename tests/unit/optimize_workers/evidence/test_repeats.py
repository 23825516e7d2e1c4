"""Noise: spread and what combining buys, worked by hand and against a simulation with known noise."""

import json

import numpy as np
import pytest

from judge_serve.judging import Combine
from optimize_workers.evidence.repeats import measure_repeats, spread_of
from tests.builders import SCALE, make_example, make_judgment

FOUR_FIVE = [make_example(4.0, number=0), make_example(5.0, number=1)]


def rounds_of(*rounds):
    return [[make_judgment(rating) for rating in one] for one in rounds]


def test_figures_worked_by_hand():
    found = measure_repeats(rounds_of((4, 5), (2, 5)), FOUR_FIVE, SCALE)
    one, two = found.by_count
    # single: the pairs lose (0 + 25) / 2 and 0; both together say 3 and 5: 6.25 and 0
    assert one[Combine.MEAN].nmse == one[Combine.MAJORITY].nmse == 6.25
    assert two[Combine.MEAN].nmse == 3.125
    assert two[Combine.MEAN].delta_nmse == -3.125
    assert two[Combine.MAJORITY].nmse == 12.5  # a tie of 2 and 4: the lower one
    assert one[Combine.MEAN].ci95 is None, "two queries are too few for an interval"


def test_spread_worked_by_hand():
    pairs = [*zip(*rounds_of((4, 3, None, 2), (2, 3, 3, None), (3, 3, 3, None)), strict=True)]
    spread = spread_of(pairs)
    assert spread.mean_sd == pytest.approx((1.0 + 0.0 + 0.0) / 3)
    assert (spread.pairs_with_sd, spread.changing_share, spread.validity_changing_share) == (3, 0.75, 0.5)


def test_equal_repeats_have_no_spread_and_buy_nothing():
    found = measure_repeats(rounds_of((4, 1), (4, 1), (4, 1)), FOUR_FIVE, SCALE)
    assert (found.spread.mean_sd, found.spread.changing_share) == (0.0, 0.0)
    assert {ways[how].nmse for ways in found.by_count for how in Combine} == {50.0}


def test_the_mean_of_noisy_repeats_takes_their_variance_away():
    """A judge right but for a coin that adds or takes 1: its squared error falls as 1 / k."""
    rng = np.random.default_rng(0)
    examples = [make_example(3.0, number=number) for number in range(600)]
    rounds = rounds_of(*(3 + rng.choice([-1, 1], 600) for _ in range(6)))
    rounds = [[make_judgment(int(j.rating)) for j in one] for one in rounds]
    found = measure_repeats(rounds, examples, SCALE)
    for k, ways in enumerate(found.by_count, 1):
        assert ways[Combine.MEAN].nmse == pytest.approx(6.25 / k, rel=0.1)
        assert ways[Combine.MEAN].nmse_ci95[0] <= 6.25 / k <= ways[Combine.MEAN].nmse_ci95[1]
    assert found.by_count[5][Combine.MEAN].ci95[1] < 0


def test_order_of_repeats_changes_nothing():
    rounds = rounds_of((4, 5), (2, 5), (1, 3))
    forward, turned = (
        measure_repeats(rounds, FOUR_FIVE, SCALE),
        measure_repeats(rounds[1:] + rounds[:1], FOUR_FIVE, SCALE),
    )
    assert [ways[Combine.MEAN].nmse for ways in forward.by_count] == pytest.approx(
        [ways[Combine.MEAN].nmse for ways in turned.by_count]
    )


def test_unreadable_repeats_count_100_alone_and_nothing_beside_a_readable_one():
    found = measure_repeats(rounds_of((4, None), (None, None)), FOUR_FIVE, SCALE)
    assert found.by_count[0][Combine.MEAN].nmse == 75.0
    assert found.by_count[1][Combine.MEAN].nmse == 50.0
    assert found.spread.mean_sd is None
    json.dumps(found.as_dict(2), allow_nan=False)


def test_an_answer_is_made_of_the_combined_judgment():
    found = measure_repeats(
        rounds_of((1, 5), (3, 5)), FOUR_FIVE, SCALE, lambda judgment: make_judgment(judgment.rating + 0)
    )
    assert found.by_count[1][Combine.MEAN].nmse == (100 * (2 / 4) ** 2 + 0) / 2


def test_calls_and_tokens_are_those_of_judging_all_pairs_k_times():
    shown = measure_repeats(rounds_of((4, 5), (2, 5)), FOUR_FIVE, SCALE).as_dict(num_pairs=2)
    assert [(row["k"], row["calls"]) for row in shown["by_count"]] == [(1, 2), (2, 4)]
    assert shown["num_repeats"] == 2


@pytest.mark.parametrize("rounds", [[], rounds_of((4, 5)), rounds_of((4, 5), (4,))])
def test_too_few_judgments_are_refused(rounds):
    with pytest.raises(ValueError, match=r"two repeats|judgments for 2 examples"):
        measure_repeats(rounds, FOUR_FIVE, SCALE)
    with pytest.raises(ValueError, match="two repeats and an example"):
        measure_repeats([[], []], [], SCALE)

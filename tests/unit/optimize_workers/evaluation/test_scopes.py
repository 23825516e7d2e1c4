"""Scopes: change is noticed, chance is not, and what answers again as before answers again."""

import random

import pytest

from judge_serve.judging import ModelIdentity
from judge_serve.judging.canaries import CANARY_SET, NUM_CANARIES, CanaryAnswers
from optimize_workers.evaluation.scopes import Meeting, decide_scope

MODEL = ModelIdentity(name="m", revision="endpoint")
RATINGS = "12345"


class Model:
    """Ratings of the canaries, of which each answer differs by chance with a probability."""

    def __init__(self, seed=0, chance=0.0):
        self.random = random.Random(seed)
        self.ratings = [self.random.choice(RATINGS) for _ in range(NUM_CANARIES)]
        self.chance = chance
        self.num_asked = 0

    def change(self, share):
        """Another rating on each canary with a probability, for good."""
        self.ratings = [self._other(r) if self.random.random() < share else r for r in self.ratings]

    def _other(self, rating):
        return self.random.choice(RATINGS.replace(rating, ""))

    def answers(self, numbers=range(NUM_CANARIES)):
        found = [None] * NUM_CANARIES
        for number in numbers:
            self.num_asked += 1
            rating = self.ratings[number]
            found[number] = self._other(rating) if self.random.random() < self.chance else rating
        return tuple(found)


class Home:
    """A ledger that has met one model."""

    def __init__(self):
        self.meetings = []

    def start(self, model, **options):
        decision = decide_scope(self.meetings, model.answers(), model.answers, **options)
        self.meetings.append(Meeting(MODEL.in_scope(decision.scope), None, None, None, decision.canaries))
        return decision


def test_a_model_that_is_met_first_begins_scope_0_with_settled_answers():
    home, model = Home(), Model()
    decision = home.start(model)
    assert (decision.scope, decision.is_new, decision.is_changed, decision.agreement) == (0, True, False, None)
    assert decision.canaries.flips == 0
    assert model.num_asked == 2 * NUM_CANARIES
    again = home.start(model)
    assert (again.scope, again.is_new, again.is_changed, again.agreement.agree) == (0, False, False, NUM_CANARIES)
    assert model.num_asked == 3 * NUM_CANARIES


def test_two_per_cent_of_chance_are_no_change_in_thousands_of_starts():
    for seed in range(20):
        home, model = Home(), Model(seed, chance=0.02)
        for _ in range(150):
            decision = home.start(model)
            assert (decision.scope, decision.is_changed) == (0, False)


@pytest.mark.parametrize("chance", [0.0, 0.02])
def test_another_rating_on_half_of_the_items_is_noticed_at_the_next_start(chance):
    overlooked = 0
    for seed in range(1_000):
        home, model = Home(), Model(seed, chance)
        home.start(model)
        model.change(0.5)
        decision = home.start(model)
        overlooked += not decision.is_changed
        assert decision.scope == decision.is_changed
    assert overlooked <= 3  # 2.2e-4 of them are to be expected


def test_a_model_that_answers_as_before_gets_its_scope_back():
    home, one, other = Home(), Model(1), Model(2)
    found = [home.start(model) for model in (one, one, other, other, one, other, one)]
    assert [decision.scope for decision in found] == [0, 0, 1, 1, 0, 1, 0]
    assert [decision.is_changed for decision in found] == [False, False, True, False, True, True, True]
    assert [decision.is_new for decision in found] == [True, False, True, False, False, False, False]


def test_a_noisy_model_is_given_the_chance_that_it_showed():
    alarms = 0
    for seed in range(50):
        home, model = Home(), Model(seed, chance=0.12)
        alarms += sum(home.start(model).is_changed for _ in range(20))
    assert alarms <= 25  # of 1,000; of a model that is too noisy to be sure of


def test_fresh_begins_a_scope_that_answers_from_then_on():
    home, model = Home(), Model()
    scopes = [home.start(model, fresh=fresh).scope for fresh in (False, False, True, False, True, False)]
    assert scopes == [0, 0, 1, 1, 2, 2]


def test_fresh_leaves_what_was_recorded_before_the_first_meeting():
    home, model = Home(), Model()
    assert [home.start(model, fresh=True).scope, home.start(model).scope] == [1, 1]


@pytest.mark.parametrize("answered", [0, 5, 9])
def test_what_cannot_be_measured_is_never_agreement(answered):
    home, model = Home(), Model()
    home.start(model)
    some = tuple(reading if place < answered else None for place, reading in enumerate(model.answers()))
    decision = decide_scope(home.meetings, some, lambda numbers: some)
    assert (decision.scope, decision.is_new, decision.is_changed) == (1, True, False)
    assert not decision.agreement.is_measured
    home.meetings.append(Meeting(MODEL.in_scope(1), None, None, None, decision.canaries))
    assert home.start(model).scope == 0  # measured again


def test_answers_to_other_canaries_are_not_compared():
    home, model = Home(), Model()
    old = CanaryAnswers(canary_set=CANARY_SET + 1, readings=("1",) * NUM_CANARIES)
    home.meetings.append(Meeting(MODEL.in_scope(3), None, None, None, old))
    assert home.start(model).scope == 4

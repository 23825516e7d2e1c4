"""Searches in which some items are never judged: they end, score nothing by it, and decide the same again."""

import json
import math
from dataclasses import replace

import pytest

from optimize_workers.library.bullets import Bullet
from optimize_workers.optimizers import load_optimizer
from optimize_workers.optimizers.gepa.population import Member, Population
from optimize_workers.study import Judged
from tests.builders import MISSING, PROGRAM, make_examples, make_judgment
from tests.fakes import json_reply
from tests.unit.optimize_workers.optimizers.searches import (
    DATA,
    gold_of,
    has_demonstrations,
    helped_by_some,
    improving,
    make_study,
    pool_of,
    propose,
    rate_well,
    told,
)

HELPS = "Look at the evidence."
BULLETS = [Bullet(text=text) for text in (HELPS, "Stay calm.", "Read all of it.", "Think of the user.")]
POISONED = {"train-d3", "val-d0", "val-d7"}
OTHER = PROGRAM.with_sections({"rubric": "Rate it well."})


def helped_by_demonstrations(request):
    gold = gold_of(request)
    return json_reply(gold if has_demonstrations(request) else gold % 5 + 1)


def helped_by_a_bullet(request):
    gold = gold_of(request)
    return json_reply(gold if HELPS in request.messages[0]["content"] else min(5, gold + 1))


SEARCHES = {
    "gepa": (helped_by_some, {"budget": 600, "reflect": improving}),
    "mipro": (helped_by_demonstrations, {"budget": 600, "reflect": propose}),
    "bullets": (helped_by_a_bullet, {"budget": 2_000}),
}


def search(name, poisoned, data=DATA):
    script, options = SEARCHES[name]
    study = make_study(script, data=data, **options)
    pool_of(study).is_poisoned = lambda call: call.item.doc_id in poisoned
    study.bullets = BULLETS if name == "bullets" else ()
    return study, load_optimizer(name)().run(study)


@pytest.mark.parametrize("name", SEARCHES)
@pytest.mark.parametrize("poisoned", [POISONED, {"train-d0"}, {"val-d9"}], ids=len)
def test_a_search_with_items_that_are_never_judged_ends_and_is_not_misled(name, poisoned):
    study, found = search(name, poisoned)
    assert found.winner != PROGRAM
    assert found.trials
    for trial in found.trials:
        json.dumps(trial.as_dict(), allow_nan=False)
        assert 0.0 <= trial.score <= 1.0
        assert trial.n > 0
    full = [trial for trial in found.trials if trial.is_full]
    num_val = sum(doc_id.startswith("val") for doc_id in poisoned)
    assert {(trial.n, trial.not_judged) for trial in full} == {(10 - num_val, num_val)}
    assert study.budget.used <= study.budget.total
    assert study.budget.promised == 0


@pytest.mark.parametrize("name", SEARCHES)
def test_such_a_search_decides_the_same_when_it_is_run_again(name):
    first, second = (search(name, POISONED)[0] for _ in range(2))
    assert told(first) == told(second)


def test_full_trials_are_ranked_by_what_all_of_them_were_judged_on():
    """The second lacks the example that both miss by most, and is no better for it."""
    study = make_study(rate_well)
    examples = make_examples(4, "val")  # people say 1, 2, 3, 4
    first, second = ([make_judgment(rating) for rating in ratings] for ratings in ([5, 2, 3, 4], [5, 2, 3, 5]))
    second[0] = replace(MISSING)
    study.record(study.scored(PROGRAM, examples, first), {}, is_full=True)
    study.record(study.scored(OTHER, examples, second), {}, is_full=True)
    assert study.trials[1].score > study.trials[0].score
    assert study.result().winner == PROGRAM


def test_a_trial_of_nothing_judged_wins_nothing():
    study = make_study(rate_well)
    examples = make_examples(2, "val")
    trial = study.record(study.scored(OTHER, examples, [MISSING, MISSING]), {}, is_full=False)
    assert (trial.score, trial.validity, trial.n, trial.not_judged) == (0.0, 0.0, 0, 2)


def test_who_was_not_judged_on_an_example_does_not_lead_on_it():
    population = Population(0)
    population.members += [Member(PROGRAM, [math.nan, 0.5]), Member(OTHER, [0.25, 0.25])]
    parents = {population.parent(number).digest for number in range(40)}
    assert parents == {PROGRAM.digest, OTHER.digest}
    assert population.best.program == PROGRAM


def test_scores_of_what_was_not_judged_are_none_of_a_judgment():
    study = make_study(rate_well)
    judged = study.scored(PROGRAM, make_examples(2), [make_judgment(1), MISSING])
    assert isinstance(judged, Judged)
    assert judged.scores[0] == 1.0
    assert math.isnan(judged.scores[1])

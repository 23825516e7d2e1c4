"""A whole search on real Ray actors gives what the same search gives in one process."""

from functools import partial

import pytest

from optimize_workers.evaluation.budgeted import Budgeted
from optimize_workers.optimizers import load_optimizer
from tests.fakes import ScriptedEngine
from tests.unit.optimize_workers.optimizers.searches import make_study, readable_with_demonstrations

pytestmark = pytest.mark.ray


def without_time(trials):
    return [trial.as_dict() for trial in trials]


def test_mipro_on_workers_finds_what_mipro_in_process_finds(local_ray):
    from optimize_workers.evaluation.workers import WorkerPool

    here = make_study(readable_with_demonstrations, can_propose=False, budget=60)
    there = make_study(readable_with_demonstrations, can_propose=False, budget=60)
    pool = WorkerPool(partial(ScriptedEngine, readable_with_demonstrations))
    there.judging = Budgeted(pool, there.budget)
    expected, found = load_optimizer("mipro")().run(here), load_optimizer("mipro")().run(there)
    pool.close()
    assert found.winner.demonstrations
    assert without_time(found.trials) == without_time(expected.trials)
    assert there.budget.used == here.budget.used <= 60

"""Workers on a real local Ray: order, outages, deaths."""

import os
import time
from functools import partial
from pathlib import Path

import pytest

from judge_serve.judging import EngineError, RetryPolicy
from tests.builders import JUDGE, PROGRAM, make_examples
from tests.fakes import ScriptedEngine, json_reply
from tests.unit.optimize.searches import gold_of, rate_well

pytestmark = pytest.mark.ray
ONCE = RetryPolicy(attempts=1)
OTHER = JUDGE.model_copy(update={"program": PROGRAM.with_sections({"rubric": "Rate it well."})})
EXAMPLES = make_examples(30)


def connect(script=rate_well, delay_s=0.0):
    return ScriptedEngine(script, delay_s=delay_s)


def out_of_order(request):
    """The human rating; the calls that are sent first take longest."""
    time.sleep(0.02 * gold_of(request) % 0.05)
    return rate_well(request)


def shifted_for_the_other_judge(request):
    shift = "Rate it well." in request.messages[0]["content"]
    return json_reply(gold_of(request) % 5 + 1 if shift else gold_of(request))


def down(request):
    return EngineError("the model is overloaded", is_retryable=False)


def down_for_fives(request):
    return EngineError("no fives today", is_retryable=False) if gold_of(request) == 5 else rate_well(request)


def bug(request):
    return KeyError("our own bug")


def die_once(mark, request):
    """Kills its own process in the middle of the first wave, then behaves."""
    if gold_of(request) == 4:
        try:
            Path(mark).touch(exist_ok=False)
        except FileExistsError:
            return rate_well(request)
        os._exit(1)
    return rate_well(request)


def die_always(request):
    os._exit(1)


@pytest.fixture
def pool(local_ray):
    """Makes pools and closes them."""
    from optimize_workers.workers import WorkerPool

    pools = []

    def make(script=rate_well, delay_s=0.0, **options):
        pools.append(WorkerPool(partial(connect, script, delay_s), retry=ONCE, **options))
        return pools[-1]

    yield make
    for one in pools:
        one.close()


def calls(judge=JUDGE, examples=EXAMPLES):
    return [(judge, example.item, 0) for example in examples]


def ratings(judgments):
    return [judgment.rating for judgment in judgments]


GOLD = [int(example.gold_rating) for example in EXAMPLES]


def test_judgments_come_back_in_the_order_of_the_calls(pool):
    judgments = pool(out_of_order).judge(calls())
    assert [j.doc_id for j in judgments] == [e.item.doc_id for e in EXAMPLES]
    assert ratings(judgments) == GOLD


def test_several_judges_in_one_wave_keep_their_own_answers(pool):
    wave = [(judge, example.item, 0) for example in EXAMPLES for judge in (JUDGE, OTHER)]
    judgments = pool(shifted_for_the_other_judge).judge(wave)
    assert ratings(judgments) == [rating for gold in GOLD for rating in (gold, gold % 5 + 1)]
    assert [j.program for j in judgments] == [JUDGE.program.digest, OTHER.program.digest] * len(EXAMPLES)


def test_occurrences_stay_with_their_calls(pool):
    judgments = pool().judge([(JUDGE, EXAMPLES[0].item, number) for number in range(10)])
    assert [j.occurrence for j in judgments] == list(range(10))


def test_every_judgment_is_told_once(pool):
    seen = []
    judgments = pool().judge(calls(), seen.extend)
    assert sorted(j.doc_id for j in seen) == sorted(j.doc_id for j in judgments)


def test_no_calls_need_no_worker(pool):
    assert pool().judge([]) == []


@pytest.mark.parametrize("in_flight", [1, 4, 1_000])
def test_the_bound_on_calls_under_way_changes_no_result(pool, in_flight):
    assert ratings(pool(num_workers=3, max_calls_in_flight=in_flight).judge(calls())) == GOLD


def test_an_engine_that_gives_up_raises_its_own_message(pool):
    with pytest.raises(EngineError, match="the model is overloaded") as caught:
        pool(down).judge(calls())
    assert caught.value.is_retryable is False


def test_one_call_that_fails_fails_the_wave(pool):
    with pytest.raises(EngineError, match="no fives today"):
        pool(down_for_fives).judge(calls())


def test_a_pool_works_again_after_an_outage(pool):
    shared = pool(down_for_fives)
    with pytest.raises(EngineError):
        shared.judge(calls())
    healthy = [e for e in EXAMPLES if e.gold_rating != 5]
    assert ratings(shared.judge(calls(examples=healthy))) == [int(e.gold_rating) for e in healthy]


def test_a_bug_is_no_outage(pool):
    with pytest.raises(KeyError, match="our own bug"):
        pool(bug).judge(calls())


def test_a_worker_that_dies_in_mid_wave_changes_no_result(pool, tmp_path):
    mark = tmp_path / "died"
    seen = []
    judgments = pool(partial(die_once, str(mark))).judge(calls(), seen.extend)
    assert mark.exists()
    assert ratings(judgments) == GOLD
    assert len(seen) == len(EXAMPLES)


def test_a_worker_that_is_killed_in_mid_wave_changes_no_result(pool):
    import ray

    shared = pool(delay_s=0.2, max_calls_in_flight=8)
    killed = []

    def kill_one(judgments):
        if not killed:
            killed.append(True)
            ray.kill(shared._workers[0], no_restart=False)

    assert ratings(shared.judge(calls(), kill_one)) == GOLD
    assert killed


def test_a_pool_of_one_worker_survives_its_death(pool, tmp_path):
    judgments = pool(partial(die_once, str(tmp_path / "died")), num_workers=1).judge(calls())
    assert ratings(judgments) == GOLD


def test_calls_that_kill_every_worker_raise_in_the_end(pool):
    with pytest.raises(EngineError, match=r"workers died \d+ times on the same judge calls"):
        pool(die_always).judge(calls(examples=EXAMPLES[:4]))


def test_a_closed_pool_leaves_no_worker(pool):
    import ray

    shared = pool()
    shared.judge(calls(examples=EXAMPLES[:4]))
    workers = list(shared._workers)
    shared.close()
    for worker in workers:
        with pytest.raises(ray.exceptions.RayActorError):
            ray.get(worker.judge.remote(JUDGE, [(EXAMPLES[0].item, 0)]), timeout=30)

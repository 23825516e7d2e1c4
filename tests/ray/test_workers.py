"""Workers on a real local Ray: order, outages, deaths."""

import logging
import os
import signal
import threading
import time
from functools import partial
from pathlib import Path

import pytest

from judge_serve.judging import RetryPolicy
from judge_serve.judging.errors import MisconfiguredError, OutageError, UnreachableError, WorkersFailedError
from judge_serve.judging.judge_call import JudgeCall, calls_of
from tests.builders import JUDGE, PROGRAM, make_examples
from tests.fakes import ScriptedEngine, json_reply
from tests.unit.optimize_workers.optimizers.searches import gold_of, rate_well

pytestmark = pytest.mark.ray
ONCE = RetryPolicy(attempts=1, max_outage_s=0.0)
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
    return MisconfiguredError("there is no such model")


def down_for_fives(request):
    return MisconfiguredError("no fives today") if gold_of(request) == 5 else rate_well(request)


def down_while(file, request):
    return UnreachableError("no model here") if Path(file).exists() else rate_well(request)


def warn(request):
    logging.getLogger("judge_serve.engines.http").warning("endpoint x refused a parameter")
    return rate_well(request)


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
    from optimize_workers.evaluation.workers import WorkerPool

    pools = []

    def make(script=rate_well, delay_s=0.0, **options):
        pools.append(WorkerPool(partial(connect, script, delay_s), **{"retry": ONCE, **options}))
        return pools[-1]

    yield make
    for one in pools:
        one.close()


def calls(judge=JUDGE, examples=EXAMPLES):
    return calls_of(judge, examples)


def ratings(judgments):
    return [judgment.rating for judgment in judgments]


GOLD = [int(example.gold_rating) for example in EXAMPLES]


def test_judgments_come_back_in_the_order_of_the_calls(pool):
    judgments = pool(out_of_order).judge(calls())
    assert [j.doc_id for j in judgments] == [e.item.doc_id for e in EXAMPLES]
    assert ratings(judgments) == GOLD


def test_several_judges_in_one_wave_keep_their_own_answers(pool):
    wave = [JudgeCall(judge, example.item) for example in EXAMPLES for judge in (JUDGE, OTHER)]
    judgments = pool(shifted_for_the_other_judge).judge(wave)
    assert ratings(judgments) == [rating for gold in GOLD for rating in (gold, gold % 5 + 1)]
    assert [j.program for j in judgments] == [JUDGE.program.digest, OTHER.program.digest] * len(EXAMPLES)


def test_occurrences_stay_with_their_calls(pool):
    judgments = pool().judge([JudgeCall(JUDGE, EXAMPLES[0].item, number) for number in range(10)])
    assert [j.occurrence for j in judgments] == list(range(10))


def test_every_judgment_is_told_once(pool):
    seen = []
    judgments = pool().judge(calls(), lambda _places, judgments: seen.extend(judgments))
    assert sorted(j.doc_id for j in seen) == sorted(j.doc_id for j in judgments)


def test_no_calls_need_no_worker(pool):
    assert pool().judge([]) == []


@pytest.mark.parametrize("in_flight", [1, 4, 1_000])
def test_the_bound_on_calls_under_way_changes_no_result(pool, in_flight):
    assert ratings(pool(num_workers=3, max_calls_in_flight=in_flight).judge(calls())) == GOLD


def test_an_engine_that_gives_up_raises_its_own_message(pool):
    with pytest.raises(MisconfiguredError, match="there is no such model"):
        pool(down).judge(calls())


def test_one_call_that_fails_fails_the_wave(pool):
    with pytest.raises(MisconfiguredError, match="no fives today"):
        pool(down_for_fives).judge(calls())


def test_a_pool_works_again_after_an_outage(pool):
    shared = pool(down_for_fives)
    with pytest.raises(MisconfiguredError):
        shared.judge(calls())
    healthy = [e for e in EXAMPLES if e.gold_rating != 5]
    assert ratings(shared.judge(calls(examples=healthy))) == [int(e.gold_rating) for e in healthy]


def test_a_bug_is_no_outage(pool):
    with pytest.raises(KeyError, match="our own bug"):
        pool(bug).judge(calls())


def test_a_worker_that_dies_in_mid_wave_changes_no_result(pool, tmp_path):
    mark = tmp_path / "died"
    seen = []
    judgments = pool(partial(die_once, str(mark))).judge(calls(), lambda places, _judgments: seen.extend(places))
    assert mark.exists()
    assert ratings(judgments) == GOLD
    assert sorted(seen) == list(range(len(EXAMPLES)))


def test_workers_that_are_killed_in_mid_wave_change_no_result(pool):
    shared = pool(delay_s=0.2, max_calls_in_flight=8)
    killed, places = [], []

    def kill_one(arrived, _judgments):
        places.extend(arrived)
        pids = [pid for pid in shared.worker_pids if pid not in killed]
        if len(killed) < 3 and pids:
            killed.append(pids[0])
            os.kill(pids[0], signal.SIGKILL)

    assert ratings(shared.judge(calls(), kill_one)) == GOLD
    assert len(killed) == 3
    assert sorted(places) == list(range(len(EXAMPLES)))


def test_the_only_worker_killed_while_nothing_is_asked_is_replaced(pool):
    shared = pool(num_workers=1)
    shared.judge(calls())
    os.kill(shared.worker_pids[0], signal.SIGKILL)
    assert ratings(shared.judge(calls())) == GOLD


def test_a_small_wave_does_not_wait_for_a_large_one(pool):
    """Two studies share the slots evenly: 30 calls are done long before the 600 that were there first."""
    shared = pool(delay_s=0.02, max_calls_in_flight=8)
    large_done, has_begun = [], threading.Event()

    def count(places, _judgments):
        large_done.extend(places)
        has_begun.set()

    large = threading.Thread(target=shared.judge, args=(calls() * 20, count))
    large.start()
    assert has_begun.wait(30.0)
    before = len(large_done)
    shared.judge(calls())
    assert len(large_done) - before < 150  # an even share would be 30, the pool's lead comes on top
    large.join()
    assert sorted(large_done) == list(range(600))


def test_a_wave_that_nobody_waits_for_is_dropped(pool):
    shared = pool(delay_s=0.3, max_calls_in_flight=2)

    def stop(_places, _judgments):
        raise KeyboardInterrupt

    started = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        shared.judge(calls() * 10, stop)
    assert ratings(shared.judge(calls(examples=EXAMPLES[:2]))) == GOLD[:2]
    assert time.monotonic() - started < 20.0  # 300 calls would take 45 s


def test_an_outage_is_paused_and_told_and_then_changes_no_result(pool, tmp_path):
    outage = tmp_path / "outage"
    outage.touch()
    told = []

    def end_the_outage(text):
        told.append(text)
        if "no answer" in text:  # and not that the workers are still starting
            outage.unlink(missing_ok=True)

    retry = RetryPolicy(attempts=2, first_wait_s=0.01)
    shared = pool(partial(down_while, str(outage)), retry=retry, on_wait=end_the_outage)
    assert ratings(shared.judge(calls())) == GOLD
    assert any("no answer" in text and "no model here" in text for text in told)


def test_an_outage_that_lasts_too_long_fails_the_wave_with_its_reason(pool, tmp_path):
    outage = tmp_path / "outage"
    outage.touch()
    shared = pool(partial(down_while, str(outage)), retry=RetryPolicy(attempts=1, max_outage_s=1.5))
    with pytest.raises(OutageError, match=r"no answer for \d s: no model here"):
        shared.judge(calls())
    outage.unlink()
    assert ratings(shared.judge(calls())) == GOLD


def test_a_pool_of_one_worker_survives_its_death(pool, tmp_path):
    judgments = pool(partial(die_once, str(tmp_path / "died")), num_workers=1).judge(calls())
    assert ratings(judgments) == GOLD


def test_calls_that_kill_every_worker_raise_in_the_end(pool):
    with pytest.raises(WorkersFailedError, match="workers died again and again, whatever they judged"):
        pool(die_always).judge(calls(examples=EXAMPLES[:4]))


def test_what_workers_warn_of_is_said_once(pool, caplog):
    pool(warn, num_workers=2).judge(calls())
    said = [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]
    assert said == ["endpoint x refused a parameter"]


def test_callers_end_with_the_pool_s_thread_also_whose_calls_it_never_saw(pool):
    shared = pool()
    go_on, failures = threading.Event(), []

    def fail_later():
        go_on.wait()
        raise KeyError("our own bug")

    def judge():
        with pytest.raises(KeyError, match="our own bug"):
            shared.judge(calls())
        failures.append("told")

    shared._events.put(fail_later)  # whatever comes after it stays in line
    callers = [threading.Thread(target=judge) for _ in range(3)]
    for caller in callers:
        caller.start()
    wait_until = time.monotonic() + 10.0
    while shared._events.qsize() < len(callers) and time.monotonic() < wait_until:
        time.sleep(0.01)
    go_on.set()
    for caller in callers:
        caller.join(timeout=10.0)
    assert failures == ["told"] * len(callers)


def test_a_closed_pool_leaves_no_worker(pool):
    import ray

    shared = pool()
    shared.judge(calls(examples=EXAMPLES[:4]))
    workers = [worker.actor for worker in shared._workers]
    shared.close()
    for worker in workers:
        with pytest.raises(ray.exceptions.RayActorError):
            ray.get(worker.exchange.remote([], 0.1), timeout=30)


def test_a_closed_pool_judges_no_more(pool):
    shared = pool()
    shared.close()
    with pytest.raises(RuntimeError, match="closed"):
        shared.judge(calls())


class Learning(ScriptedEngine):
    """An engine that found something out."""

    learned = {"dropped": ["seed"]}  # noqa: RUF012


def test_what_engines_learned_comes_back_and_the_pace_with_it(local_ray):
    from optimize_workers.evaluation.workers import WorkerPool

    shared = WorkerPool(partial(Learning, rate_well), max_calls_in_flight=64, least_calls_in_flight=4)
    try:
        assert shared.learned == []
        assert ratings(shared.judge(calls())) == GOLD
        assert shared.learned
        assert all(one["dropped"] == ["seed"] and 2 <= one["in_flight"] <= 64 for one in shared.learned)
    finally:
        shared.close()

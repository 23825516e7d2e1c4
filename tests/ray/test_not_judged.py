"""One item that is never judged, over real workers and a real endpoint: all others are, and it is named."""

import os
import time
from functools import partial

import pytest

from judge_serve.engines.http import HttpEngine, HttpEngineConfig
from judge_serve.judging import RetryPolicy
from judge_serve.judging.errors import BadRequestError, MisconfiguredError, OutageError
from judge_serve.judging.judge_call import calls_of
from optimize_workers.evaluation.recorded import Recorded
from tests.builders import JUDGE, make_examples
from tests.contract.endpoints import Answer, Endpoint, completion, json_answer
from tests.fakes import EngineReply, MemoryStore, ScriptedEngine, json_reply
from tests.unit.optimize_workers.optimizers.searches import rate_well

pytestmark = pytest.mark.ray
EXAMPLES = make_examples(12)
POISONED = "document 7 of train"
PATIENCE = RetryPolicy(attempts=2, first_wait_s=0.01, longest_wait_s=0.5, deadline_s=4.0, max_outage_s=20.0)
# what only the poisoned item gets, and a word of the cause
KINDS = {
    "500": (json_answer({"error": {"message": "CUDA error"}}, 500), "answered 500"),
    "error in a 200": (json_answer({"error": {"message": "backend crashed"}}), "200 with an error"),
    "a page": (Answer(b"<html>Bad gateway</html>"), "without JSON"),
    "no choices": (json_answer({"choices": []}), "without a chat completion"),
    "never answered": (Answer(b"{}", delay_s=60.0), "did not answer in 0.5 s"),
    "a trickle": (Answer(b" " * 1_000, byte_delay_s=0.1), "did not answer in 0.5 s"),
    "reset": (None, "cannot reach"),
    "400": (json_answer({"error": {"message": "invalid character"}}, 400), "answered 400"),
    "a firewall's 403": (Answer(b"<html>Sorry, you have been blocked</html>", 403), "answered 403"),
    "418": (Answer(b"no", 418), "answered 418"),
}


def connect(url):
    return HttpEngine(HttpEngineConfig(base_url=url, model="m", timeout_s=0.5))


def answering(poison, for_all=False):
    """Rates 3, but gives the poison to the poisoned item; None closes the connection."""

    def answer(received):
        if for_all or POISONED in received.body["messages"][-1]["content"]:
            if poison is None:
                raise ConnectionResetError
            return poison
        return json_answer(completion(EngineReply(json_reply(3), "stop", 10, 1)))

    return answer


@pytest.fixture(scope="module")
def endpoint():
    served = Endpoint()
    yield served
    served.close()


@pytest.fixture(scope="module")
def pool(local_ray):
    from optimize_workers.evaluation.workers import WorkerPool

    pools = []

    def make(connect, **options):
        pools.append(WorkerPool(connect, **{"retry": PATIENCE, "num_workers": 2, **options}))
        return pools[-1]

    yield make
    for one in pools:
        one.close()


@pytest.fixture(scope="module")
def shared_pool(pool, endpoint):
    return pool(partial(connect, endpoint.url))


def poisoned_of(judgments):
    return {judgment.doc_id: judgment.cause for judgment in judgments if not judgment.is_judged}


@pytest.mark.parametrize("kind", KINDS)
def test_one_item_never_ends_a_wave(endpoint, shared_pool, kind):
    poison, said = KINDS[kind]
    endpoint.answer = answering(poison)
    store, told = MemoryStore(), []
    layers = Recorded(shared_pool, store)
    started = time.monotonic()
    judgments = layers.judge(calls_of(JUDGE, EXAMPLES), lambda places, _judgments: told.extend(places))
    assert time.monotonic() - started < 60.0
    assert sorted(told) == list(range(12))
    assert [judgment.rating for judgment in judgments] == [None if n == 7 else 3 for n in range(12)]
    (cause,) = poisoned_of(judgments).values()
    assert said in cause
    assert len(store.judgments) == 11
    endpoint.answer = answering(json_answer(completion(EngineReply(json_reply(5), "stop", 10, 1))))
    again = layers.judge(calls_of(JUDGE, EXAMPLES))
    assert [(j.rating, j.cached) for j in again] == [(5, False) if n == 7 else (3, True) for n in range(12)]


@pytest.mark.parametrize("kind", ["500", "400"])
def test_it_is_not_judged_though_nothing_else_is_asked(endpoint, pool, kind):
    endpoint.answer = answering(KINDS[kind][0])
    judgments = pool(partial(connect, endpoint.url)).judge(calls_of(JUDGE, EXAMPLES[7:8]))
    assert len(poisoned_of(judgments)) == 1


@pytest.mark.parametrize(
    ("kind", "error", "most_s"),
    [
        ("400", BadRequestError, 30.0),
        ("a firewall's 403", MisconfiguredError, 30.0),
        ("500", OutageError, 40.0),
        ("a page", OutageError, 40.0),
    ],
)
def test_what_all_items_get_ends_the_wave(endpoint, pool, kind, error, most_s):
    endpoint.answer = answering(KINDS[kind][0], for_all=True)
    started = time.monotonic()
    with pytest.raises(error, match=KINDS[kind][1]):
        pool(partial(connect, endpoint.url), retry=PATIENCE.model_copy(update={"max_outage_s": 3.0})).judge(
            calls_of(JUDGE, EXAMPLES)
        )
    assert time.monotonic() - started < most_s


def die_of_the_poison(request):
    if POISONED in request.messages[-1]["content"]:
        os._exit(1)
    is_control = "evidence" not in request.messages[-1]["content"]
    return json_reply(3) if is_control else rate_well(request)


def test_an_item_that_kills_its_workers_is_not_judged_and_takes_no_other_along(pool):
    judgments = pool(partial(ScriptedEngine, die_of_the_poison)).judge(calls_of(JUDGE, EXAMPLES))
    (doc_id,) = poisoned_of(judgments)
    assert doc_id == EXAMPLES[7].item.doc_id
    assert "workers died 4 times" in poisoned_of(judgments)[doc_id]
    assert [judgment.rating for judgment in judgments if judgment.is_judged] == [
        int(example.gold_rating) for n, example in enumerate(EXAMPLES) if n != 7
    ]

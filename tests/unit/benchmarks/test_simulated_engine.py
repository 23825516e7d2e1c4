"""The simulated engine: pure in (seed, request), at the rates and speeds it is told, with outages on command."""

import asyncio
import json
import math
import random
import statistics
import subprocess
import sys

import pytest
from pydantic import ValidationError

from benchmarks.outages import Outage, write_outage
from benchmarks.simulated_engine import Effect, SimulatedEngine, SimulatedEngineConfig
from judge_serve.judging import (
    AnswerMode,
    Engine,
    EngineError,
    EngineRequest,
    InvalidReason,
    Item,
    Program,
    RetryPolicy,
    Sampling,
    Scale,
    judge_pair,
)
from judge_serve.judging.judge import build_request
from judge_serve.judging.parsing import parse_reply
from tests.builders import JUDGE, PROGRAM
from tests.virtual_time import run_in_virtual_time

SCALE = Scale()
NOISY = SimulatedEngineConfig(seed=3, malformed_rate=0.3, rating_noise=0.25)


def item(number, gold=None):
    marker = f"gold:{gold} " if gold else ""
    return Item(f"query {number}", f"{marker}document {number}", f"q{number}", f"d{number}")


def request_of(number, gold=None, judge=JUDGE):
    return build_request(judge, item(number, gold))


def in_mode(mode, **changes):
    return JUDGE.model_copy(update={"mode": mode, **changes})


def replies(engine, requests):
    async def ask():
        return [await engine.complete(request) for request in requests]

    return asyncio.run(ask())


def readings(config, requests):
    return [parse_reply(reply.text, reply.finish_reason, SCALE) for reply in replies(SimulatedEngine(config), requests)]


def share_invalid(config, requests):
    return statistics.mean(reading.rating is None for reading in readings(config, requests))


def share_off(config, judge=JUDGE, count=4_000):
    """Share of readable ratings that miss the marked one."""
    asked = [request_of(number, gold=number % 5 + 1, judge=judge) for number in range(count)]
    read = [
        (reading.rating, number % 5 + 1) for number, reading in enumerate(readings(config, asked)) if reading.rating
    ]
    return statistics.mean(rating != gold for rating, gold in read)


def four_errors(rate, count):
    """Four standard errors of a share."""
    return 4 * math.sqrt(rate * (1 - rate) / count)


# --- purity ---


def test_answers_do_not_depend_on_order():
    requests = [request_of(number) for number in range(200)]
    shuffled = random.Random(0).sample(requests, k=len(requests))
    answers = dict(zip(map(id, shuffled), replies(SimulatedEngine(NOISY), shuffled), strict=True))
    assert replies(SimulatedEngine(NOISY), requests) == [answers[id(request)] for request in requests]


def test_answers_do_not_depend_on_concurrency_slots_or_latency():
    requests = [request_of(number) for number in range(100)]
    slow = NOISY.model_copy(update={"latency_median_s": 2.0, "latency_sigma": 1.0, "slots": 3})

    async def together():
        engine = SimulatedEngine(slow)
        return await asyncio.gather(*(engine.complete(request) for request in requests))

    assert run_in_virtual_time(together()) == replies(SimulatedEngine(NOISY), requests)


def test_answers_are_the_same_in_another_process():
    program = """
import asyncio, json
from tests.unit.benchmarks.test_simulated_engine import NOISY, SimulatedEngine, replies, request_of
print(json.dumps([reply.text for reply in replies(SimulatedEngine(NOISY), [request_of(n) for n in range(50)])]))
"""
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, env={"PYTHONHASHSEED": "7"}
    )
    here = replies(SimulatedEngine(NOISY), [request_of(number) for number in range(50)])
    assert json.loads(done.stdout) == [reply.text for reply in here]


def test_another_seed_is_another_model():
    requests = [request_of(number, gold=3) for number in range(200)]
    other = NOISY.model_copy(update={"seed": 4})
    assert replies(SimulatedEngine(NOISY), requests) != replies(SimulatedEngine(other), requests)


def test_another_prompt_draws_again():
    other = JUDGE.model_copy(update={"program": PROGRAM.with_sections({"rubric": "Rate this pair."})})
    first = readings(NOISY, [request_of(number) for number in range(200)])
    second = readings(NOISY, [request_of(number, judge=other) for number in range(200)])
    assert first != second


def test_turns_in_between_draw_again():
    """Demonstrations are part of the request."""
    system, user = request_of(1).messages
    shown = ({"role": "user", "content": "a"}, {"role": "assistant", "content": "b"})
    engine = SimulatedEngine(SimulatedEngineConfig(rating_noise=1.0))
    plain = [EngineRequest((system, {**user, "content": f"gold:3 {n}"}), 128) for n in range(50)]
    with_shown = [EngineRequest((system, *shown, request.messages[-1]), 128) for request in plain]
    assert replies(engine, plain) != replies(engine, with_shown)


def test_the_sampling_seed_matters_above_temperature_zero_only():
    def asked(seed, temperature):
        judge = JUDGE.model_copy(update={"sampling": Sampling(temperature=temperature, seed=seed)})
        return [request_of(number, judge=judge) for number in range(100)]

    assert readings(NOISY, asked(0, 0.0)) == readings(NOISY, asked(1, 0.0))
    assert readings(NOISY, asked(0, 0.7)) != readings(NOISY, asked(1, 0.7))


def test_the_order_of_a_turns_keys_says_nothing():
    request = request_of(1)
    turned = tuple({"content": m["content"], "role": m["role"]} for m in request.messages)
    engine = SimulatedEngine(NOISY)
    assert replies(engine, [request]) == replies(engine, [EngineRequest(turned, request.max_tokens)])


def test_more_prompts_than_are_remembered_change_nothing():
    engine = SimulatedEngine(NOISY)
    asked = [
        EngineRequest(({"role": "system", "content": str(n)}, {"role": "user", "content": "x"}), 64)
        for n in range(1_100)
    ]
    assert replies(engine, asked) == replies(engine, asked)


# --- ratings ---


@pytest.mark.parametrize("gold", [1, 2, 3, 4, 5])
def test_a_marked_document_gets_its_rating(gold):
    [reading] = readings(SimulatedEngineConfig(), [request_of(1, gold=gold)])
    assert (reading.rating, reading.invalid_reason) == (gold, None)


def test_a_marker_in_the_query_is_not_the_documents():
    pair = Item("what is gold:1", "here, gold:4", "q", "d")
    [reading] = readings(SimulatedEngineConfig(), [build_request(JUDGE, pair)])
    assert reading.rating == 4


@pytest.mark.parametrize("document", ["gold:", "gold:9", "gold:x", "nothing"])
def test_an_unmarked_document_has_a_true_rating_of_its_own_under_every_prompt(document):
    pair = Item("q", document, "q", "d")
    other = JUDGE.model_copy(update={"program": Program(sections={"rubric": "Other words."})})
    asked = [build_request(JUDGE, pair), build_request(other, pair)]
    first, second = readings(SimulatedEngineConfig(), asked)
    assert first.rating == second.rating
    assert first.rating in SCALE.ratings


def test_true_ratings_of_unmarked_documents_use_the_whole_scale():
    found = [reading.rating for reading in readings(SimulatedEngineConfig(), [request_of(n) for n in range(1_000)])]
    for rating in SCALE.ratings:
        assert abs(found.count(rating) / 1_000 - 0.2) < four_errors(0.2, 1_000)


@pytest.mark.parametrize("noise", [0.0, 0.1, 0.5, 1.0])
def test_the_share_of_ratings_that_are_off_is_the_noise(noise):
    config = SimulatedEngineConfig(rating_noise=noise)
    assert abs(share_off(config) - noise) <= four_errors(noise, 4_000)


def test_noise_goes_both_ways_and_further_than_one_step():
    asked = [request_of(number, gold=3) for number in range(500)]
    found = {reading.rating for reading in readings(SimulatedEngineConfig(rating_noise=1.0), asked)}
    assert found == {1, 2, 4, 5}


# --- malformed replies ---


@pytest.mark.parametrize("rate", [0.0, 0.05, 0.4, 1.0])
def test_the_share_of_malformed_replies_is_the_rate(rate):
    asked = [request_of(number) for number in range(3_000)]
    found = share_invalid(SimulatedEngineConfig(malformed_rate=rate), asked)
    assert abs(found - rate) <= four_errors(rate, 3_000)


def test_malformed_replies_come_in_several_kinds():
    config = SimulatedEngineConfig(malformed_rate=1.0)
    reasons = {reading.invalid_reason for reading in readings(config, [request_of(n) for n in range(200)])}
    assert reasons >= {
        InvalidReason.TRUNCATED,
        InvalidReason.NOT_JSON,
        InvalidReason.OFF_SCALE,
        InvalidReason.MISSING_FIELD,
    }


def test_a_low_token_limit_cuts_a_reply_off():
    tight = JUDGE.model_copy(update={"sampling": Sampling(max_tokens=8)})
    [reply] = replies(SimulatedEngine(SimulatedEngineConfig()), [request_of(1, judge=tight)])
    assert (reply.finish_reason, reply.completion_tokens, len(reply.text)) == ("length", 8, 32)
    assert parse_reply(reply.text, reply.finish_reason, SCALE).invalid_reason is InvalidReason.TRUNCATED


# --- effects ---


EFFECTS = SimulatedEngineConfig(
    malformed_rate=0.3,
    rating_noise=0.3,
    effects=(
        Effect(pattern="one JSON object, please", malformed_rate=-0.25),
        Effect(pattern="Think.", rating_noise=-0.2, malformed_rate=0.1),
    ),
)


@pytest.mark.parametrize(
    ("text", "malformed_rate", "rating_noise"),
    [
        ("Rate.", 0.3, 0.3),
        ("Rate, one JSON object, please.", 0.05, 0.3),
        ("Think.", 0.4, 0.1),
        ("Think. one JSON object, please", 0.15, 0.1),
    ],
)
def test_rates_depend_on_what_the_system_turn_says(text, malformed_rate, rating_noise):
    judge = JUDGE.model_copy(update={"program": Program(sections={"rubric": text})})
    asked = [request_of(number, judge=judge) for number in range(3_000)]
    assert abs(share_invalid(EFFECTS, asked) - malformed_rate) <= four_errors(malformed_rate, 3_000)
    assert abs(share_off(EFFECTS, judge) - rating_noise) <= four_errors(rating_noise, 2_000)


def test_rates_stay_in_bounds():
    asked = [request_of(number) for number in range(100)]
    for change, share in ((1.0, 1.0), (-1.0, 0.0)):
        config = SimulatedEngineConfig(malformed_rate=0.5, effects=(Effect(pattern="R", malformed_rate=change),))
        assert share_invalid(config, asked) == share


def test_a_text_in_the_document_has_no_effect():
    config = SimulatedEngineConfig(effects=(Effect(pattern="gold:", malformed_rate=1.0),))
    assert share_invalid(config, [request_of(number, gold=3) for number in range(50)]) == 0.0


# --- constrained replies ---


def test_guided_replies_are_always_well_formed():
    config = SimulatedEngineConfig(malformed_rate=1.0)
    asked = [request_of(number, gold=4, judge=in_mode(AnswerMode.GUIDED)) for number in range(100)]
    assert {reading.rating for reading in readings(config, asked)} == {4}


def test_guided_replies_keep_to_the_schemas_ratings():
    task = JUDGE.task.model_copy(update={"scale": Scale(minimum=0, maximum=2, anchors=("a", "b", "c"))})
    judge = in_mode(AnswerMode.GUIDED, task=task)
    asked = [request_of(number, gold=5, judge=judge) for number in range(20)]
    texts = [reply.text for reply in replies(SimulatedEngine(SimulatedEngineConfig()), asked)]
    assert {parse_reply(text, "stop", task.scale).rating for text in texts} == {2}


def test_expected_ratings_lie_near_the_rating_and_differ():
    async def judged():
        engine = SimulatedEngine(SimulatedEngineConfig(malformed_rate=1.0))
        judge = in_mode(AnswerMode.EXPECTED)
        return [await judge_pair(judge, item(number, gold=3), engine) for number in range(200)]

    judgments = asyncio.run(judged())
    assert {judgment.rating for judgment in judgments} == {3}
    values = [judgment.expected_rating for judgment in judgments]
    assert all(2.5 <= value < 3.5 for value in values)
    assert statistics.stdev(values) > 0.1


def test_log_probabilities_are_a_distribution_headed_by_the_answer():
    [reply] = replies(SimulatedEngine(NOISY), [request_of(1, gold=2, judge=in_mode(AnswerMode.EXPECTED))])
    assert reply.first_token_logprobs[0][0] == reply.text
    assert sum(math.exp(logprob) for _, logprob in reply.first_token_logprobs) == pytest.approx(1.0)
    assert (reply.completion_tokens, len(reply.first_token_logprobs)) == (1, 5)


def test_no_more_alternatives_than_asked_for():
    request = EngineRequest(({"role": "user", "content": "x"},), 1, choices=("1", "2", "3"), top_logprobs=2)
    [reply] = replies(SimulatedEngine(NOISY), [request])
    assert len(reply.first_token_logprobs) == 2


@pytest.mark.parametrize("choices", [("yes", "no"), ("0", "1"), ("only",)])
def test_other_choices_are_kept_to(choices):
    request = EngineRequest(({"role": "user", "content": "x gold:5"},), 1, choices=choices)
    [reply] = replies(SimulatedEngine(NOISY), [request])
    assert reply.text in choices
    assert reply.first_token_logprobs is None


# --- tokens ---


def test_tokens_are_four_characters():
    request = EngineRequest(
        ({"role": "system", "content": "a" * 41}, {"role": "user", "content": "gold:2" + "b" * 95}), 128
    )
    [reply] = replies(SimulatedEngine(SimulatedEngineConfig()), [request])
    assert reply.prompt_tokens == 36  # 142 characters
    assert reply.completion_tokens == -(-len(reply.text) // 4)


def test_texts_without_utf8_form_are_answered():
    [reply] = replies(SimulatedEngine(NOISY), [EngineRequest(({"role": "user", "content": "\ud800"},), 64)])
    assert reply.text


# --- time: latency, slots, utilization ---


def timed(config, count):
    """Seconds from sending to reply of requests sent together, in virtual time; the engine; the most busy at once."""

    async def ask_all():
        loop = asyncio.get_running_loop()
        engine = SimulatedEngine(config, clock=loop.time)
        most = 0

        async def ask(number):
            nonlocal most
            started = loop.time()
            task = asyncio.ensure_future(engine.complete(request_of(number)))
            while not task.done():
                most = max(most, engine.busy)
                await asyncio.wait([task], timeout=config.latency_median_s / 2)
            return loop.time() - started

        taken = await asyncio.gather(*(ask(number) for number in range(count)))
        return taken, engine, most

    return run_in_virtual_time(ask_all())


def test_latency_has_its_median_and_spread():
    taken, _, _ = timed(SimulatedEngineConfig(latency_median_s=0.4, latency_sigma=0.5), 2_000)
    logs = [math.log(seconds) for seconds in taken]
    assert statistics.median(taken) == pytest.approx(0.4, rel=0.05)
    assert statistics.stdev(logs) == pytest.approx(0.5, rel=0.06)


def test_latency_without_spread_is_the_median():
    taken, _, _ = timed(SimulatedEngineConfig(latency_median_s=0.4), 10)
    assert taken == pytest.approx([0.4] * 10)


def test_slots_bound_how_many_are_served_and_others_wait_in_line():
    taken, engine, most = timed(SimulatedEngineConfig(latency_median_s=0.5, slots=4), 10)
    assert most == 4
    assert taken == pytest.approx([0.5] * 4 + [1.0] * 4 + [1.5] * 2)
    assert engine.busy_slot_s() == pytest.approx(5.0)


def test_without_slots_all_are_served_at_once():
    _, _, most = timed(SimulatedEngineConfig(latency_median_s=0.5), 50)
    assert most == 50


def test_utilization_says_how_many_slots_were_busy_each_second():
    _, engine, _ = timed(SimulatedEngineConfig(latency_median_s=1.0, slots=2), 3)  # two for a second, then one
    assert [tuple(second) for second in engine.utilization()] == [
        (1000, pytest.approx(2.0)),
        (1001, pytest.approx(1.0)),
    ]


def test_a_call_given_up_frees_its_slot():
    async def give_up():
        loop = asyncio.get_running_loop()
        engine = SimulatedEngine(SimulatedEngineConfig(latency_median_s=10.0, slots=1), clock=loop.time)
        for _ in range(3):
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(engine.complete(request_of(1)), timeout=1.0)
        return engine.busy, engine.busy_slot_s(), engine.served

    assert run_in_virtual_time(give_up()) == (0, pytest.approx(3.0), 0)


def test_an_engine_outlives_its_event_loop():
    engine = SimulatedEngine(SimulatedEngineConfig(latency_median_s=0.001, slots=1))

    async def ask_two():
        await asyncio.gather(engine.complete(request_of(1)), engine.complete(request_of(2)))

    for _ in range(3):
        asyncio.run(ask_two())
    assert (engine.served, engine.busy) == (6, 0)


def test_without_latency_nothing_is_awaited():
    coroutine = SimulatedEngine(SimulatedEngineConfig(slots=1)).complete(request_of(1))
    with pytest.raises(StopIteration):
        coroutine.send(None)


# --- outages ---


def ask_once(engine):
    return replies(engine, [request_of(1)])[0]


def test_calls_served_and_failed_are_counted():
    engine = SimulatedEngine(SimulatedEngineConfig())
    engine.fail_next(2)
    for _ in range(2):
        with pytest.raises(EngineError):
            ask_once(engine)
    ask_once(engine)
    assert (engine.served, engine.failed) == (1, 2)


@pytest.mark.parametrize(("status", "is_retryable"), [(503, True), (429, True), (401, False), (500, True)])
def test_an_outage_is_the_error_of_an_endpoint_with_that_status(status, is_retryable):
    engine = SimulatedEngine(SimulatedEngineConfig(model="m"))
    engine.fail_next(1, status, retry_after_s=2.5)
    with pytest.raises(EngineError, match=f"simulated engine 'm' answered {status}: simulated outage") as caught:
        ask_once(engine)
    assert (caught.value.is_retryable, caught.value.retry_after_s) == (is_retryable, 2.5)


def test_an_outage_ends_after_its_seconds():
    now = [100.0]
    engine = SimulatedEngine(SimulatedEngineConfig(), clock=lambda: now[0])
    engine.fail_for(5.0)
    now[0] = 104.9
    with pytest.raises(EngineError):
        ask_once(engine)
    now[0] = 105.0
    assert ask_once(engine).text


def test_recovery_ends_what_was_commanded():
    engine = SimulatedEngine(SimulatedEngineConfig())
    engine.fail_for(1_000.0)
    engine.fail_next(5)
    engine.recover()
    assert ask_once(engine).text


def test_requests_in_a_slot_and_in_line_meet_an_outage_too():
    async def struck():
        loop = asyncio.get_running_loop()
        engine = SimulatedEngine(SimulatedEngineConfig(latency_median_s=10.0, slots=1), clock=loop.time)
        asked = [asyncio.ensure_future(engine.complete(request_of(number))) for number in range(3)]
        await asyncio.sleep(8.0)
        engine.fail_for(5.0)
        outcomes = await asyncio.gather(*asked, return_exceptions=True)
        return [type(outcome) for outcome in outcomes], loop.time() - 1_000.0

    assert run_in_virtual_time(struck()) == ([EngineError] * 3, 10.0)


def test_requests_in_line_outlast_a_short_outage():
    async def struck():
        loop = asyncio.get_running_loop()
        engine = SimulatedEngine(SimulatedEngineConfig(latency_median_s=10.0, slots=1), clock=loop.time)
        asked = [asyncio.ensure_future(engine.complete(request_of(number))) for number in range(2)]
        await asyncio.sleep(1.0)
        engine.fail_for(5.0)
        return [reply.prompt_tokens > 0 for reply in await asyncio.gather(*asked)]

    assert run_in_virtual_time(struck()) == [True, True]


def test_an_outage_file_fails_every_request_while_it_exists(tmp_path):
    file = tmp_path / "outage.json"
    engine = SimulatedEngine(SimulatedEngineConfig(outage_file=file))
    assert ask_once(engine).text
    write_outage(file, Outage(status=429, retry_after_s=1.5))
    for _ in range(2):
        with pytest.raises(EngineError, match="answered 429") as caught:
            ask_once(engine)
        assert caught.value.retry_after_s == 1.5
    file.unlink()
    assert ask_once(engine).text


def test_a_judge_call_outlasts_a_few_failures():
    async def judge():
        engine = SimulatedEngine(SimulatedEngineConfig())
        engine.fail_next(2, 429, retry_after_s=30.0)
        started = asyncio.get_running_loop().time()
        judgment = await judge_pair(JUDGE, item(1, gold=4), engine, retry=RetryPolicy(attempts=3, longest_wait_s=50.0))
        return judgment.rating, asyncio.get_running_loop().time() - started

    rating, taken_s = run_in_virtual_time(judge())
    assert rating == 4
    assert taken_s >= 60.0


# --- config ---


@pytest.mark.parametrize(
    "wrong",
    [
        {"malformed_rate": 1.5},
        {"rating_noise": -0.1},
        {"slots": 0},
        {"latency_median_s": -1},
        {"effects": [{"pattern": ""}]},
        {"effects": [{"pattern": "x", "latency": 1}]},
        {"speed": 3},
    ],
)
def test_impossible_configs_are_refused(wrong):
    with pytest.raises(ValidationError):
        SimulatedEngineConfig.model_validate(wrong)


def test_a_config_is_plain_json():
    assert SimulatedEngineConfig.model_validate_json(EFFECTS.model_dump_json()) == EFFECTS


def test_it_is_an_engine():
    engine: Engine = SimulatedEngine(SimulatedEngineConfig(model="m"))
    assert engine.model == "m"
    assert asyncio.run(engine.close()) is None

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

from benchmarks.simulated_engine import Effect, SimulatedEngine, SimulatedEngineConfig
from judge_serve.judging import (
    AnswerMode,
    Engine,
    EngineRequest,
    InvalidReason,
    Item,
    Program,
    Sampling,
    Scale,
    judge_pair,
)
from judge_serve.judging.judge_call import JudgeCall, build_request
from judge_serve.judging.parsing import parse_reply
from tests.builders import JUDGE, PROGRAM
from tests.virtual_time import run_in_virtual_time

SCALE = Scale()
NOISY = SimulatedEngineConfig(seed=3, malformed_rate=0.3, rating_noise=0.25)


def item(number, gold=None):
    marker = f"gold:{gold} " if gold else ""
    return Item(f"query {number}", f"{marker}document {number}", f"q{number}", f"d{number}")


def request_of(number, gold=None, judge=JUDGE):
    return build_request(JudgeCall(judge, item(number, gold)))


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


def test_a_temperature_is_the_same_number_over_every_wire():
    """JSON turns 1 into 1.0 or leaves it, by the library."""
    turns = [request_of(number).messages for number in range(50)]
    whole, fraction = ([EngineRequest(t, 64, temperature=heat) for t in turns] for heat in (1, 1.0))
    assert replies(SimulatedEngine(NOISY), whole) == replies(SimulatedEngine(NOISY), fraction)


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
    [reading] = readings(SimulatedEngineConfig(), [build_request(JudgeCall(JUDGE, pair))])
    assert reading.rating == 4


@pytest.mark.parametrize("document", ["gold:", "gold:9", "gold:x", "nothing"])
def test_an_unmarked_document_has_a_true_rating_of_its_own_under_every_prompt(document):
    pair = Item("q", document, "q", "d")
    other = JUDGE.model_copy(update={"program": Program(sections={"rubric": "Other words."})})
    asked = [build_request(JudgeCall(JUDGE, pair)), build_request(JudgeCall(other, pair))]
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
        return [await judge_pair(JudgeCall(judge, item(number, gold=3)), engine) for number in range(200)]

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

"""The landscape's models: the judge answers as its rules let it, the reflection model adds rules at its rates."""

import asyncio
import json
import math
import statistics
import time
from collections import Counter

import dspy
import pytest
from dspy.teleprompt.gepa.instruction_proposal import InstructionProposer
from gepa.strategies.instruction_proposal import InstructionProposalSignature

from benchmarks.dspy_landscape import language_model, prompt_of
from benchmarks.landscape import BASELINE, EVERY_HELPFUL, HARMFUL, JUDGE, Landscape, LandscapeConfig, key_of, rules_in
from benchmarks.landscape_engines import (
    FITTING,
    IDLE,
    NO_LATENCY,
    LandscapeEngine,
    LandscapeJudge,
    LatencyConfig,
    Reflecting,
    ReflectionModel,
    ThreadedEngine,
)
from benchmarks.landscape_texts import FAILURES, FINE, REMARKS, RULES, SECTIONS, Kind
from judge_serve.judging import AnswerMode, Engine, judge_pair
from judge_serve.judging.judge_call import JudgeCall, build_request
from optimize_workers.statistics.metrics import gold_of, nmse
from tests.virtual_time import run_in_virtual_time

CONFIG = LandscapeConfig()
LANDSCAPE = Landscape(CONFIG)
VAL = LANDSCAPE.data.val
GEPA_TEMPLATE = InstructionProposalSignature.default_prompt_template


def judge_with(*lines):
    rubric = "\n- ".join([SECTIONS["rubric"], *lines])
    return JUDGE.model_copy(update={"program": BASELINE.with_sections({**SECTIONS, "rubric": rubric})})


def judged(judge, examples=VAL):
    async def ask():
        engine = LandscapeEngine(CONFIG)
        return [await judge_pair(JudgeCall(judge, example.item), engine) for example in examples]

    return asyncio.run(ask())


def prompt_about(*failures, text=SECTIONS["rubric"], number=0):
    """A reflection prompt in gepa's form that shows failures."""
    shown = [{"Generated Outputs": FAILURES[name].thought, "Feedback": f"example {number}"} for name in failures]
    return InstructionProposalSignature.prompt_renderer(
        {"current_instruction_doc": text, "dataset_with_feedback": shown, "prompt_template": GEPA_TEMPLATE}
    )


def four_errors(rate, count):
    return 4 * math.sqrt(rate * (1 - rate) / count)


# --- the judge ---


def test_judged_with_our_judge_the_nmse_is_the_landscapes():
    judge = judge_with(RULES["meaning"].text, RULES["subject"].text)
    measured = nmse(judged(judge), gold_of(VAL), JUDGE.task.scale)
    assert measured == pytest.approx(LANDSCAPE.nmse(frozenset({"meaning", "subject"}), VAL))


def test_the_judge_says_what_it_fails_by():
    for example, judgment in zip(VAL, judged(JUDGE), strict=True):
        if judgment.is_valid:
            thoughts = [FAILURES[name].thought for name in LANDSCAPE.traits(example).failures]
            assert judgment.explanation == " ".join(thoughts)


def test_a_judge_with_all_helpful_rules_names_no_failure():
    judge = judge_with(*(RULES[name].text for name in sorted(EVERY_HELPFUL)))
    assert {judgment.explanation for judgment in judged(judge)} <= {FINE, None}


def test_a_malformed_reply_is_an_invalid_judgment():
    invalid = [judgment for judgment in judged(JUDGE, LANDSCAPE.test) if not judgment.is_valid]
    expected = [
        example for example in LANDSCAPE.test if LANDSCAPE.read(frozenset(), key_of(example.item.document)).is_malformed
    ]
    assert [judgment.doc_id for judgment in invalid] == [example.item.doc_id for example in expected] != []


def test_constrained_replies_are_never_malformed():
    landscape = Landscape(LandscapeConfig(malformed_rate=1.0))
    judge = LandscapeJudge(landscape)
    guided = JUDGE.model_copy(update={"mode": AnswerMode.GUIDED})
    for example in landscape.test:
        rating = json.loads(judge.reply(build_request(JudgeCall(guided, example.item))).text)["rating"]
        assert rating == landscape.read(frozenset(), key_of(example.item.document)).rating


def test_latencies_are_lognormal_and_depend_on_the_request_only():
    judge = LandscapeJudge(LANDSCAPE, LatencyConfig())
    requests = [build_request(JudgeCall(JUDGE, example.item, n)) for example in LANDSCAPE.test for n in range(5)]
    latencies = [judge.latency_s(request) for request in requests]
    logs = [math.log(latency_s) for latency_s in latencies]
    assert statistics.fmean(logs) == pytest.approx(math.log(0.05), abs=4 / math.sqrt(len(logs)))
    assert statistics.stdev(logs) == pytest.approx(1.0, abs=0.08)
    assert LandscapeJudge(Landscape(CONFIG), LatencyConfig()).latency_s(requests[7]) == latencies[7]


def test_the_engine_answers_a_slots_worth_of_requests_at_once():
    steady = LatencyConfig(judge_median_s=1.0, judge_sigma=0.0)

    async def ask(slots):
        engine: Engine = LandscapeEngine(CONFIG, steady, slots)
        loop = asyncio.get_running_loop()
        started = loop.time()
        await asyncio.gather(*(engine.complete(build_request(JudgeCall(JUDGE, example.item))) for example in VAL))
        return loop.time() - started

    assert run_in_virtual_time(ask(50)) == pytest.approx(2.0)
    assert run_in_virtual_time(ask(100)) == pytest.approx(1.0)


def test_the_threaded_engine_answers_like_the_other_one_and_takes_its_time():
    told = []
    judge = LandscapeJudge(LANDSCAPE, LatencyConfig(judge_median_s=0.01, judge_sigma=0.0))
    request = build_request(JudgeCall(JUDGE, VAL[0].item))
    started = time.perf_counter()
    reply = ThreadedEngine(judge, 1, told.append).complete(request)
    assert time.perf_counter() - started >= 0.01
    assert told == [pytest.approx(0.01)]
    assert reply == asyncio.run(LandscapeEngine(CONFIG).complete(request))


# --- the reflection model ---


def test_proposals_come_at_the_published_rates():
    count = 4_000
    model = ReflectionModel(seed=0)
    proposals = [
        model.propose(prompt_about(*FAILURES, text=BASELINE.instruction, number=number)) for number in range(count)
    ]
    kinds = Counter(proposal.kind for proposal in proposals)
    assert (kinds[Kind.HELPS] + kinds[Kind.PAIR]) / count == pytest.approx(FITTING, abs=four_errors(FITTING, count))
    assert kinds[Kind.IDLE] / count == pytest.approx(IDLE, abs=four_errors(IDLE, count))
    assert kinds[Kind.HARMS] / count == pytest.approx(0.2, abs=four_errors(0.2, count))
    assert {proposal.rule for proposal in proposals} == set(RULES)


def test_a_fitting_rule_ends_a_failure_that_is_shown():
    model = ReflectionModel(seed=0)
    rules = {model.propose(prompt_about("shared words", "audience", number=n)).rule for n in range(300)}
    assert rules == {"meaning", "role", "purpose", *(name for name in HARMFUL if RULES[name].section == "rubric")}


def test_a_failure_shown_more_often_is_taken_up_more_often():
    model = ReflectionModel(seed=0)
    prompts = [prompt_about("shared words", "shared words", "shared words", "neighbour", number=n) for n in range(900)]
    rules = Counter(model.propose(prompt).rule for prompt in prompts)
    assert rules["meaning"] / (rules["meaning"] + rules["subject"]) == pytest.approx(0.75, abs=0.1)


def test_one_line_is_added_and_the_present_text_kept():
    present = f"{SECTIONS['rubric']}\n- {RULES['subject'].text}"
    for number in range(50):
        text = ReflectionModel(seed=1).propose(prompt_about("wording", text=present, number=number)).text
        assert text.startswith(present + "\n- ") and "\n" not in text.removeprefix(present + "\n- ")


def test_a_rule_joins_the_paragraph_of_its_section():
    for number in range(50):
        proposal = ReflectionModel(seed=1).propose(prompt_about(*FAILURES, text=BASELINE.instruction, number=number))
        paragraphs = proposal.text.split("\n\n")
        assert len(paragraphs) == 3
        if proposal.rule:
            assert SECTIONS[RULES[proposal.rule].section] in next(
                p for p in paragraphs if RULES[proposal.rule].text in p
            )


def test_where_no_rule_is_left_a_remark_is_added_until_there_is_none_either():
    everything = "\n- ".join([SECTIONS["rubric"], *(rule.text for rule in RULES.values() if rule.section == "rubric")])
    proposal = ReflectionModel(seed=0).propose(prompt_about("shared words", text=everything))
    assert proposal.rule is None and proposal.text.removeprefix(everything + "\n- ") in REMARKS
    full = "\n- ".join([everything, *REMARKS])
    assert ReflectionModel(seed=0).propose(prompt_about("shared words", text=full)).text == full


def test_proposals_depend_on_seed_prompt_and_occurrence_only():
    def texts(seed, prompts):
        model = ReflectionModel(seed)
        return {prompt: [model.answer(prompt, occurrence) for occurrence in range(3)] for prompt in prompts}

    prompts = [prompt_about(*FAILURES, number=number) for number in range(20)]
    assert texts(0, prompts) == texts(0, prompts[::-1])
    assert texts(0, prompts) != texts(1, prompts)
    assert any(len(set(answers)) > 1 for answers in texts(0, prompts).values())


def test_the_same_prompt_asked_again_is_another_occurrence():
    prompt = prompt_about(*FAILURES)
    model = ReflectionModel(seed=0)
    reflecting = Reflecting(model)
    assert [reflecting(prompt) for _ in range(3)] == [model.answer(prompt, occurrence) for occurrence in range(3)]


def test_reflection_latencies_are_lognormal():
    model = ReflectionModel(0, LatencyConfig())
    logs = [math.log(model.latency_s(f"prompt {number}")) for number in range(2_000)]
    assert statistics.fmean(logs) == pytest.approx(math.log(0.5), abs=0.05)
    assert statistics.stdev(logs) == pytest.approx(0.5, abs=0.04)
    assert ReflectionModel(0, NO_LATENCY).latency_s("prompt") == 0.0


def test_a_prompt_without_a_section_is_refused():
    with pytest.raises(ValueError, match="shows no section"):
        ReflectionModel(seed=0).propose("```\nhello\n```")


# --- the forms of the libraries ---


def test_gepa_reads_the_answer():
    prompt = prompt_about(*FAILURES)
    model = ReflectionModel(seed=0)
    read = InstructionProposalSignature.output_extractor(model.answer(prompt))["new_instruction"]
    assert read == model.propose(prompt).text


def test_dspy_reads_the_answer():
    model = ReflectionModel(seed=0)
    asked = []

    def answer(request):
        asked.append(prompt_of(request))
        return model.answer(asked[-1])

    records = [{"Inputs": {"query": "q"}, "Generated Outputs": {"explanation": FAILURES["wording"].thought}}]
    with dspy.context(lm=language_model(answer)):
        read = InstructionProposer()({"self": BASELINE.instruction}, {"self": records}, ["self"])
    assert read == {"self": model.propose(asked[0]).text}
    assert len(asked) == 1 and len(rules_in(read["self"])) == 1

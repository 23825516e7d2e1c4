"""The proposing model: it answers both forms of prompt, repeats what it reads, adds lines at the published rates."""

import json
import math
import statistics
from collections import Counter

import dspy
import pytest
from dspy.propose.dataset_summary_generator import (
    DatasetDescriptor,
    DatasetDescriptorWithPriorObservations,
    ObservationSummarizer,
)
from dspy.propose.grounded_proposer import DescribeModule, DescribeProgram, generate_instruction_class

from benchmarks.dspy_landscape import prompting_model
from benchmarks.landscape import BASELINE, rules_in
from benchmarks.landscape_engines import FITTING, IDLE, LatencyConfig, Reflecting
from benchmarks.landscape_proposer import LINES, MOST_REPEATED, ProposingModel, asked_field, failures_shown
from benchmarks.landscape_texts import FAILURES, REMARKS, RULES, Kind

ADAPTERS = [dspy.JSONAdapter(), dspy.ChatAdapter(use_json_adapter_fallback=False)]
QUESTIONS = [
    DatasetDescriptor,
    DatasetDescriptorWithPriorObservations,
    ObservationSummarizer,
    DescribeProgram,
    DescribeModule,
    *(generate_instruction_class(use_instruct_history=False, use_tip=has_tip).signature for has_tip in (True, False)),
]
OURS = dspy.Signature("task, solved_pairs, current_instruction, tip -> proposed_instruction", "Write a better one.")


def prompt_for(signature, adapter=ADAPTERS[1], instruction=BASELINE.instruction, **inputs):
    filled = {name: inputs.get(name, "something") for name in signature.input_fields}
    for name in {"basic_instruction", "current_instruction"} & set(filled):
        filled[name] = instruction
    return "\n\n".join(turn["content"] for turn in adapter.format(signature, [], filled))


def proposal_prompt(*texts, number=0, **changes):
    return prompt_for(OURS, solved_pairs=" ".join(texts), tip=f"{number}", **changes)


def added(text):
    """Rules and remarks that a proposal holds, in no order."""
    return rules_in(text)


# --- forms ---


@pytest.mark.parametrize("adapter", ADAPTERS)
@pytest.mark.parametrize("signature", [*QUESTIONS, OURS])
def test_dspy_reads_the_answer_to_every_question(signature, adapter):
    prompt = prompt_for(signature, adapter)
    (field,) = signature.output_fields
    assert asked_field(prompt).field == field
    read = adapter.parse(signature, ProposingModel(seed=0).answer(prompt))
    assert list(read) == [field] and read[field]


@pytest.mark.parametrize("adapter", ADAPTERS)
def test_dspy_asks_and_is_answered(adapter):
    model = prompting_model(Reflecting(ProposingModel(seed=0)))
    with dspy.context(lm=model, adapter=adapter):
        seen = dspy.Predict(DatasetDescriptor)(examples=FAILURES["brief"].reason)
    assert FAILURES["brief"].reason in seen.observations


def test_a_prompt_that_asks_for_nothing_known_is_refused():
    with pytest.raises(ValueError, match="asks for no output field"):
        ProposingModel(seed=0).answer("Hello.")
    with pytest.raises(ValueError, match="asks for 'colour'"):
        ProposingModel(seed=0).answer(prompt_for(dspy.Signature("a -> colour")))
    with pytest.raises(ValueError, match="shows no instruction"):
        ProposingModel(seed=0).answer(prompt_for(dspy.Signature("a -> proposed_instruction")))


# --- what it says about data ---


@pytest.mark.parametrize("signature", [DatasetDescriptor, ObservationSummarizer])
def test_the_most_frequent_reasons_and_thoughts_are_repeated(signature):
    texts = [FAILURES["brief"].reason, FAILURES["steps"].thought, *(FAILURES[name].reason for name in FAILURES)]
    said = ProposingModel(seed=0).answer(prompt_for(signature, examples=" ".join(texts), observations=" ".join(texts)))
    named = [text for failure in FAILURES.values() for text in (failure.reason, failure.thought) if text in said]
    assert len(named) == MOST_REPEATED
    assert FAILURES["brief"].reason in named


def test_where_nothing_is_shown_nothing_is_named():
    said = ProposingModel(seed=0).answer(prompt_for(DatasetDescriptor))
    assert not any(failures_shown(said).values())


def test_descriptions_of_programs_name_no_failure():
    said = ProposingModel(seed=0).answer(prompt_for(DescribeProgram, program_example=FAILURES["brief"].thought))
    assert not any(failures_shown(said).values())


# --- what it proposes ---


def test_two_to_four_lines_are_added_and_the_present_text_kept():
    counts = Counter()
    for number in range(300):
        text = ProposingModel(seed=0).propose(proposal_prompt(FAILURES["brief"].reason, number=number))
        assert [p.split("\n")[0] for p in text.split("\n\n")] == BASELINE.instruction.split("\n\n")
        counts[text.count("\n- ")] += 1
    least, most = LINES
    assert set(counts) == set(range(least, most + 1))
    assert min(counts.values()) > 70


def test_lines_come_at_the_rates_of_the_reflection_model():
    shown = [failure.reason for failure in FAILURES.values()]
    kinds = Counter()
    for number in range(600):
        rules = added(ProposingModel(seed=0).propose(proposal_prompt(*shown, number=number)))
        kinds.update(RULES[name].kind if name in RULES else Kind.IDLE for name in rules)
    fitting = (kinds[Kind.HELPS] + kinds[Kind.PAIR]) / kinds.total()
    assert fitting == pytest.approx(FITTING, abs=0.04)
    assert kinds[Kind.IDLE] / kinds.total() == pytest.approx(IDLE, abs=0.04)


@pytest.mark.parametrize("text", [FAILURES["wording"].reason, FAILURES["wording"].thought])
def test_a_failure_is_seen_by_its_reason_and_by_its_thought(text):
    helpful = set()
    for number in range(60):
        rules = added(ProposingModel(seed=0).propose(proposal_prompt(text, number=number)))
        helpful |= {name for name in rules if name in RULES and RULES[name].kind in (Kind.HELPS, Kind.PAIR)}
    assert helpful == {"synonyms"}


def test_where_no_rule_fits_remarks_are_added():
    lines = Counter()
    for number in range(60):
        lines.update(added(ProposingModel(seed=0).propose(proposal_prompt("nothing", number=number))))
    assert not [name for name in lines if name in RULES and RULES[name].kind in (Kind.HELPS, Kind.PAIR)]
    assert set(lines) & set(REMARKS)


def test_answers_depend_on_seed_prompt_and_occurrence_only():
    def texts(seed, prompts):
        model = ProposingModel(seed)
        return {prompt: [model.answer(prompt, occurrence) for occurrence in range(3)] for prompt in prompts}

    prompts = [proposal_prompt(*(f.reason for f in FAILURES.values()), number=number) for number in range(20)]
    assert texts(0, prompts) == texts(0, prompts[::-1])
    assert texts(0, prompts) != texts(1, prompts)
    assert any(len(set(answers)) > 1 for answers in texts(0, prompts).values())


def test_the_answer_in_json_is_the_proposal():
    prompt = prompt_for(QUESTIONS[-1], ADAPTERS[0])
    model = ProposingModel(seed=0)
    assert json.loads(model.answer(prompt)) == {"proposed_instruction": model.propose(prompt)}


def test_proposing_latencies_are_those_of_reflections():
    model = ProposingModel(0, LatencyConfig())
    logs = [math.log(model.latency_s(f"prompt {number}")) for number in range(2_000)]
    assert statistics.fmean(logs) == pytest.approx(math.log(0.5), abs=0.05)
    assert statistics.stdev(logs) == pytest.approx(0.5, abs=0.04)

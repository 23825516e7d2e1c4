"""Proposing: grounded in training data, at once, and a weak model's junk is refused one by one."""

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from judge_serve.judging import AnswerMode
from judge_serve.judging.errors import OutageError
from optimize_workers.dataset.splits import OptimizationData
from optimize_workers.guardrails import Refusal
from optimize_workers.optimizers import load_optimizer
from optimize_workers.optimizers.mipro.instructions import (
    BATCH_SIZE,
    MAX_BATCHES,
    fixed_variants,
    propose_instructions,
    render_pairs,
)
from tests.builders import JUDGE, PROGRAM, make_example, make_examples
from tests.unit.optimize_workers.optimizers.searches import make_study, rate_well

TRAIN = make_examples(30)
TEXT = "Rate by the evidence that a document states."


def reply(field, text):
    return f"[[ ## {field} ## ]]\n{text}\n\n[[ ## completed ## ]]"


def field_of(prompt):
    """The field that a prompt asks for."""
    return prompt.rsplit("starting with the field `[[ ## ", 1)[1].split(" ", 1)[0]


def answer(prompt):
    return reply(field_of(prompt), f"about {field_of(prompt)}")


def propose(reflect, *, train=TRAIN, shown=(TRAIN[:3], TRAIN[3:6]), num_proposals=5, judge=JUDGE, seed=0):
    study = make_study(
        rate_well, reflect=reflect, judge=judge, data=OptimizationData(tuple(train), make_examples(5, "val")), seed=seed
    )
    with ThreadPoolExecutor(32) as threads:
        return propose_instructions(study, shown, num_proposals, threads)


def prompts_of(**options):
    prompts = []

    def reflect(prompt):
        prompts.append(prompt)
        return answer(prompt)

    propose(reflect, **options)
    return prompts


def test_proposals_come_back_numbered():
    assert propose(answer) == [(number, "about proposed_instruction") for number in range(1, 6)]


def test_the_data_are_looked_at_in_batches_and_summed_up():
    fields = [field_of(prompt) for prompt in prompts_of()]
    assert sorted(fields) == ["observations"] * 3 + ["proposed_instruction"] * 5 + ["summary"]
    assert fields.index("summary") == 3


def test_a_large_training_split_is_looked_at_in_part():
    fields = [field_of(prompt) for prompt in prompts_of(train=make_examples(BATCH_SIZE * MAX_BATCHES + 50))]
    assert fields.count("observations") == MAX_BATCHES


def test_a_proposal_knows_the_frozen_parts_the_summary_solved_pairs_and_its_tip():
    proposals = [prompt for prompt in prompts_of() if field_of(prompt) == "proposed_instruction"]
    assert len(set(proposals)) == len(proposals), "no two prompts are the same"
    for prompt in proposals:
        for part in (PROGRAM.instruction, JUDGE.task.description, "Rating scale:", "JSON object", "about summary"):
            assert part in prompt
    assert sum(TRAIN[0].item.document in prompt for prompt in proposals) == 3
    assert sum(TRAIN[3].item.document in prompt for prompt in proposals) == 2


def test_bullets_are_told_as_frozen():
    bulleted = JUDGE.model_copy(update={"program": PROGRAM.model_copy(update={"bullets": ("Read all of it.",)})})
    assert any("- Read all of it." in prompt for prompt in prompts_of(judge=bulleted))


def test_without_sets_and_with_unreadable_observations_instructions_are_proposed_all_the_same():
    def reflect(prompt):
        return answer(prompt) if field_of(prompt) == "proposed_instruction" else "junk"

    assert [proposed.text for proposed in propose(reflect, shown=())] == ["about proposed_instruction"] * 5


def test_one_unreadable_proposal_is_refused_alone():
    def reflect(prompt):
        return "Sure! Here you go." if "(Proposal 2.)" in prompt else answer(prompt)

    texts = [proposed.text for proposed in propose(reflect)]
    assert texts[1] == Refusal("unreadable", "the reply lacks the field that was asked for")
    assert [text for text in texts if isinstance(text, str)] == ["about proposed_instruction"] * 4


def test_a_reflection_that_was_cut_off_or_refused_is_refused_alone():
    cut = Refusal("truncated", "the reply was cut off")

    def reflect(prompt):
        if field_of(prompt) == "observations" and TRAIN[0].item.document in prompt:
            return cut
        if "(Proposal 2.)" in prompt:
            return cut
        return "I'm sorry, but I can't help with that." if "(Proposal 4.)" in prompt else answer(prompt)

    texts = [proposed.text for proposed in propose(reflect)]
    assert texts[1] == cut
    assert texts[3].reason == "refusal"
    assert [texts[0], texts[2], texts[4]] == ["about proposed_instruction"] * 3


@pytest.mark.parametrize(
    "words",
    [
        "Sure! Here is an improved instruction:\n\n{}",
        "{}\n\nLet me know if you would like changes.",
        "I cannot help with this.",
    ],
)
def test_talk_in_the_field_reaches_no_judge(words):
    reflect = lambda prompt: reply(field_of(prompt), words.format(TEXT))  # noqa: E731
    study = make_study(rate_well, budget=300, reflect=reflect)
    found = load_optimizer("mipro")().run(study)
    assert set(found.refusals) == {"refusal" if "cannot" in words else "chatter"}
    assert not any(words[:10] in trial.program.instruction for trial in found.trials)


@pytest.mark.parametrize(("text", "reason"), [("", "empty"), (" \n", "empty")])
def test_an_empty_proposal_is_refused(text, reason):
    refused = propose(lambda prompt: reply(field_of(prompt), text))
    assert {proposed.text.reason for proposed in refused} == {reason}


@pytest.mark.parametrize("junk", ["", "{", "\ud800", "[[ ## completed ## ]]", "```\nlorem\n```", "给文件打分"])
def test_junk_is_refused_and_never_raises(junk):
    assert {proposed.text.reason for proposed in propose(lambda prompt: junk)} == {"unreadable"}


def test_the_prompts_follow_from_the_seed_alone():
    assert sorted(prompts_of(seed=3)) == sorted(prompts_of(seed=3))
    assert sorted(prompts_of(seed=3)) != sorted(prompts_of(seed=4))


def test_batches_are_looked_at_at_once_and_so_are_proposals():
    together = {"observations": threading.Barrier(3), "proposed_instruction": threading.Barrier(5)}

    def reflect(prompt):
        if field_of(prompt) in together:
            together[field_of(prompt)].wait(timeout=10)  # breaks if they come one after the other
        return answer(prompt)

    assert len(propose(reflect)) == 5


def test_an_outage_raises():
    def reflect(prompt):
        raise OutageError("the engine is down")

    with pytest.raises(OutageError, match="the engine is down"):
        propose(reflect)


def test_long_texts_are_cut():
    shown = render_pairs([make_example(document="x" * 10_000, reason="y" * 10_000)])
    assert len(shown) < 800 and shown.count("[...]") == 2


@pytest.mark.parametrize("mode", AnswerMode)
def test_fixed_variants_fit_the_mode_and_pass_the_guard(mode):
    study = make_study(rate_well, judge=JUDGE.model_copy(update={"mode": mode}))
    variants = fixed_variants(study)
    assert all(list(program.sections)[:-1] == list(PROGRAM.sections) for program in variants)
    assert [study.guard.explain(one.instruction, PROGRAM.instruction) for one in variants] == [None] * len(variants)
    if mode is AnswerMode.EXPECTED:
        assert not any("JSON" in one.instruction or "explanation" in one.instruction for one in variants)

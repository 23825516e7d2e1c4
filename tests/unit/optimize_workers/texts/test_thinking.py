"""Thinking: blocks of every family of models are taken off, and thinking without an end leaves no answer."""

import pytest

from optimize_workers.texts.thinking import without_thinking

TEXT = "Read both texts to the end."
FENCED = f"```\n[rubric]\n{TEXT}\n```"


@pytest.mark.parametrize(
    "reply",
    [
        f"<think>\nWhat misleads it? ```no```\n</think>\n\n{FENCED}",
        f"<think></think>{FENCED}",
        f"What misleads it?\n</think>\n{FENCED}",  # the template began the block
        f"<thinking>One.</thinking>\n<thinking>Two.</thinking>{FENCED}",
        f"<think>a <think>b</think> c</think>{FENCED}",
        f"<Thought>Hm.</Thought>\n{FENCED}",
        f"[THINK]Hm.[/THINK]{FENCED}",
        f"\u25c1think\u25b7Hm.\u25c1/think\u25b7{FENCED}",
        f"<|begin_of_thought|>Hm.<|end_of_thought|>\n<|begin_of_solution|>{FENCED}<|end_of_solution|>",
        f"<seed:think>Hm.</seed:think>{FENCED}",
        f"<|channel|>analysis<|message|>Hm.<|end|><|start|>assistant<|channel|>final<|message|>{FENCED}<|return|>",
        f"analysisWe need to write sections.assistantfinal{FENCED}",
        FENCED,
    ],
)
def test_the_answer_stays(reply):
    assert without_thinking(reply).strip() == FENCED


@pytest.mark.parametrize(
    "reply",
    [
        f"<think>\nPerhaps\n{FENCED}",
        f"<think>a</think><think>{FENCED}",
        f"[THINK]{FENCED}",
        f"<|channel|>analysis<|message|>Perhaps {FENCED}",
        f"analysisWe need to write sections. {FENCED}",
    ],
)
def test_thinking_without_an_end_is_no_answer(reply):
    assert without_thinking(reply) is None


@pytest.mark.parametrize(
    "text", ["Think before you rate.", "analysis of the need comes first.", "a < b > c", "Quote [a thought] of it.", ""]
)
def test_words_about_thinking_are_text(text):
    assert without_thinking(text) == text

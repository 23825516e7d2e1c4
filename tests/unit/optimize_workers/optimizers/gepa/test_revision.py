"""One reflection: sections out, sections back, and the reasons why a proposal is refused."""

import pytest

from optimize_workers.guardrails import Refusal
from optimize_workers.optimizers.gepa.revision import extract_text, propose_program, read_sections, render_sections
from tests.builders import PROGRAM
from tests.unit.optimize_workers.optimizers.searches import DATA, make_study, rate_well

SECTIONS = {"rubric": "Rate the pair.\n\n- Mind the need.", "care": "Be careful."}
TEXT = "Read both texts to the end before you decide."


def test_sections_come_back_as_they_were_written():
    assert read_sections(render_sections(SECTIONS), SECTIONS, "rubric") == SECTIONS


def test_a_text_without_names_is_the_new_text_of_the_section_asked_about():
    assert read_sections("Rate it well.", SECTIONS, "care") == {**SECTIONS, "care": "Rate it well."}


def test_sections_left_out_stay():
    assert read_sections("[care]\nMind dates.", SECTIONS, "rubric") == {**SECTIONS, "care": "Mind dates."}


@pytest.mark.parametrize("text", ["[other]\nx", "[care]\nx\n[care]\ny", "[care]\n\n[rubric]\nx", "Hello\n[care]\nx"])
def test_other_shapes_are_refused(text):
    assert read_sections(text, SECTIONS, "rubric") is None


def test_brackets_within_a_line_are_text():
    written = "[care]\nWrite [x] for dates."
    assert read_sections(written, SECTIONS, "rubric")["care"] == "Write [x] for dates."


@pytest.mark.parametrize(
    ("reply", "text"),
    [
        ("```\nabc\n```", "abc"),
        ("Here:\n```text\nabc\n```\nDone.", "abc"),
        ("Here:\n\n~~~markdown\nabc\n~~~", "abc"),
        ("abc", "abc"),
        ("```\n```", ""),
        ("``````", ""),
        ("Sure: ```abc``` as asked.", "abc"),
        ("```[care]\nabc\n```", "[care]\nabc"),
        ("Mine:\n```Markdown\n[care]\nabc.```\nLet me know!", "[care]\nabc."),
    ],
)
def test_the_fenced_text_is_taken(reply, text):
    assert extract_text(reply) == text


def test_an_inner_fence_does_not_end_the_outer_one():
    inner = "[care]\nSay it so:\n```json\n{}\n```\nand so on."
    assert extract_text(f"```text\n{inner}\n```") == inner
    assert extract_text(f"````\n{inner}\n````\nBye.") == inner


def test_the_block_with_names_of_sections_is_the_text_however_long_others_are():
    thoughts = "The judge forgets the need of the person. " * 5
    assert extract_text(f"```\n{thoughts}\n```\n```\n[care]\nabc\n```") == "[care]\nabc"
    assert extract_text("[care]\nSay:\n```json\n{}\n```") == "[care]\nSay:\n```json\n{}\n```"  # refused as `template`


@pytest.mark.parametrize(
    "reply", ["```\n[care]\nRead all of", "```\ncut off", "```text\n[care]\nSay\n```json\n{}\n```"]
)
def test_a_fence_without_an_end_is_cut_off(reply):
    assert extract_text(reply).reason == "truncated"


# --- from a reply to a program or a refusal ---


def proposed(reply):
    """What a reply to the prompt becomes."""
    study = make_study(rate_well, reflect=lambda prompt: reply)
    examples = DATA.train[:3]
    judged = study.scored(PROGRAM, examples, study.judge_program(PROGRAM, examples))
    return propose_program(study, judged, next(iter(PROGRAM.sections)), 1)


@pytest.mark.parametrize(
    "reply",
    [
        f"Sure! Here is an improved instruction:\n\n```\n{TEXT}\n```\n\nLet me know if you want more.",
        f"Certainly! I rewrote it.\n```markdown\n[rubric]\n{TEXT}\n```",
        f"[rubric]\n{TEXT}",
        TEXT,
    ],
)
def test_what_is_marked_becomes_the_section_and_nothing_around_it(reply):
    assert next(iter(proposed(reply).sections.values())) == TEXT


@pytest.mark.parametrize(
    ("reply", "reason"),
    [
        (f"Sure! Here is an improved instruction:\n\n{TEXT}", "chatter"),
        (f"Sure, here is an improved instruction:\n{TEXT}", "chatter"),
        (f"Here is the rewritten [rubric]:\n\n{TEXT}", "chatter"),
        (f"```\nHere is the improved instruction:\n{TEXT}\n```", "chatter"),
        (f"[rubric]\n{TEXT}\n\nI hope this helps!", "chatter"),
        (f"```\n[rubric]\n{TEXT}\n\nKey changes:\n- It is shorter.\n```", "chatter"),
        (f"Okay, let me think about what went wrong.\n\n{TEXT}", "chatter"),
        ("I'm sorry, but I can't help with that.", "refusal"),
        ("```\nI cannot assist with this request.\n```", "refusal"),
        (f"Certainly:\n[rubric]\n{TEXT}", "sections"),
        (f"```\n[rubric]\n{TEXT} Also weigh whether the", "truncated"),
        (Refusal("truncated", "the reply was cut off"), "truncated"),
    ],
)
def test_what_may_hold_more_than_the_text_is_refused(reply, reason):
    assert proposed(reply).reason == reason

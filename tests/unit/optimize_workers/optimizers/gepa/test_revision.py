"""One reflection: sections out, sections back, and the reasons why a proposal is refused."""

import pytest

from optimize_workers.optimizers.gepa.revision import extract_text, read_sections, render_sections

SECTIONS = {"rubric": "Rate the pair.\n\n- Mind the need.", "care": "Be careful."}


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
    [("```\nabc\n```", "abc"), ("Here:\n```text\nabc\n```\nDone.", "abc"), ("abc", "abc"), ("```\n```", "")],
)
def test_the_fenced_text_is_taken(reply, text):
    assert extract_text(reply) == text

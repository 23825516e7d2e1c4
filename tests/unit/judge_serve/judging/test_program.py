"""The program: what is refused, and an identity that follows the text."""

import copy
import pickle

import pytest

from judge_serve.judging import Demonstration, Program

PROGRAM = Program(sections={"task": "Rate it.", "care": "Be strict."}, bullets=("Read all.",))


def test_equal_programs_have_equal_digests():
    twin = Program(sections={"task": "Rate it.", "care": "Be strict."}, bullets=("Read all.",))
    assert twin.digest == PROGRAM.digest


def test_section_order_is_part_of_the_identity():
    turned = Program(sections={"care": "Be strict.", "task": "Rate it."}, bullets=("Read all.",))
    assert turned.digest != PROGRAM.digest


def test_bullet_order_is_part_of_the_identity():
    one, other = (Program(sections={"t": "x"}, bullets=bullets) for bullets in (("a", "b"), ("b", "a")))
    assert one.digest != other.digest


def test_a_copy_with_changes_has_its_own_digest():
    before = PROGRAM.digest
    changed = PROGRAM.model_copy(update={"bullets": ()})
    assert changed.digest == Program(sections=PROGRAM.sections).digest != before


@pytest.mark.parametrize("copied", [copy.copy(PROGRAM), copy.deepcopy(PROGRAM), pickle.loads(pickle.dumps(PROGRAM))])
def test_a_plain_copy_is_the_same_program(copied):
    assert (copied, copied.digest) == (PROGRAM, PROGRAM.digest)


def test_json_keeps_section_order_even_for_writers_that_sort_keys():
    assert PROGRAM.model_dump(mode="json")["sections"] == [["task", "Rate it."], ["care", "Be strict."]]


def test_a_program_survives_json():
    assert Program.model_validate_json(PROGRAM.model_dump_json()).digest == PROGRAM.digest


@pytest.mark.parametrize(
    "sections",
    [{}, [], {"t": ""}, {"t": " \n"}, {"t": 4}, "text", [["t"]], [["t", "x", "y"]], [[{}, "x"]], [["t", 4]], ["ab"]],
)
def test_a_program_without_section_text_is_refused(sections):
    with pytest.raises(ValueError, match="sections"):
        Program(sections=sections)


def test_section_names_that_repeat_are_refused():
    with pytest.raises(ValueError, match="section names repeat"):
        Program(sections=[["t", "x"], ["t", "y"]])


def test_a_section_that_is_too_long_is_named():
    with pytest.raises(ValueError, match=r"\['b'\] exceed 20000 characters"):
        Program(sections={"a": "x" * 20_000, "b": "x" * 20_001})


@pytest.mark.parametrize(
    "bullet", ["", "  ", "a\nb", "a\n", "a\rb", "a\u2028b", "a\u2029b", "a\x85b", "a\vb", "a\fb", "a\x1cb"]
)
def test_a_bullet_is_one_line(bullet):
    with pytest.raises(ValueError, match="one non-empty line"):
        Program(sections={"t": "x"}, bullets=(bullet,))


@pytest.mark.parametrize("field", ["query", "document"])
def test_a_demonstration_has_a_query_and_a_document(field):
    texts = {"query": "q", "document": "d"} | {field: ""}
    with pytest.raises(ValueError, match=field):
        Demonstration(rating=3, **texts)


def test_a_demonstration_may_lack_its_explanation():
    assert Demonstration(query="q", document="d", rating=3).explanation == ""


def test_the_digest_of_a_program_with_demonstrations_stays():
    shown = Demonstration(query="q", document="d", rating=3, explanation="e")
    program = Program(sections={"t": "x"}, bullets=("b",), demonstrations=(shown,))
    assert program.digest == "39d2207dced899cf69f39adc35da7f8865222100c7c708d5d4a469dfe059364a"


def test_the_instruction_is_all_sections_with_text():
    assert Program(sections={"a": " A\n", "b": " ", "c": "C"}).instruction == "A\n\nC"


def test_other_sections_keep_bullets():
    assert PROGRAM.with_sections({"t": "x"}).bullets == ("Read all.",)

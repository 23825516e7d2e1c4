"""The judge file: read whole, or refused with file and key."""

import pytest

from judge_serve.judging import AnswerMode, ModelIdentity, RefusedInputError, load_judge_file

FULL = """
[task]
name = "support"
description = "You judge support answers."
[task.scale]
minimum = 0
maximum = 1
anchors = ["no", "yes"]
[program]
bullets = ["Read all."]
[program.sections]
task = "Rate it."
care = "Be strict."
[[program.demonstrations]]
query = "q"
document = "d"
rating = 1
explanation = "e"
[sampling]
max_tokens = 64
"""


@pytest.fixture
def load(tmp_path):
    def load_text(text):
        path = tmp_path / "judge.toml"
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return load_judge_file(path)

    return load_text


def test_a_full_file_is_read(load):
    file = load(FULL)
    assert file.task.scale.anchors == ("no", "yes")
    assert file.program.demonstrations[0].rating == 1
    assert file.sampling.max_tokens == 64


def test_sections_keep_the_order_of_the_file(load):
    assert load(FULL).program.instruction == "Rate it.\n\nBe strict."


def test_a_program_alone_is_enough(load):
    assert str(load('program = {sections = {t = "x"}}').task.scale) == "1-5"


def test_a_file_becomes_a_judge_with_a_model(load):
    judge = load(FULL).judge(ModelIdentity(name="m"), AnswerMode.GUIDED)
    assert (judge.model.name, judge.mode, judge.task.name) == ("m", "guided", "support")


def test_a_judge_takes_the_least_digit_mass_of_its_file_and_the_tokens_of_its_model(load):
    judge = load(f"min_digit_mass = 0.2\n{FULL}").judge(ModelIdentity(name="m"), AnswerMode.EXPECTED, ("{x}",))
    assert (judge.min_digit_mass, judge.control_tokens) == (0.2, ("{x}",))
    assert load(FULL).judge(ModelIdentity(name="m"), AnswerMode.EXPECTED).min_digit_mass == 0.5


def test_the_usual_digit_mass_and_no_tokens_leave_a_judge_as_it_was(load):
    judge = load(FULL).judge(ModelIdentity(name="m"), AnswerMode.EXPECTED)
    assert not {"min_digit_mass", "control_tokens"} & judge.model_dump().keys()


@pytest.mark.parametrize("mode", [AnswerMode.GENERATE, AnswerMode.GUIDED])
def test_a_file_without_explanations_becomes_no_judge_of_a_mode_that_writes_them(load, mode):
    file = load(FULL.replace('explanation = "e"', ""))
    assert file.judge(ModelIdentity(name="m"), AnswerMode.EXPECTED).program.demonstrations[0].explanation == ""
    with pytest.raises(RefusedInputError, match=rf"demonstrations \[1\] have no explanation.* mode '{mode}'"):
        file.judge(ModelIdentity(name="m"), mode)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", r"judge\.toml: program: Field required"),
        (FULL + "[extra]", r"judge\.toml: extra: Extra inputs"),
        (FULL.replace("max_tokens = 64", "max_tokens = 0"), r"judge\.toml: sampling\.max_tokens: "),
        (FULL.replace("max_tokens = 64", "temperature = nan"), r"judge\.toml: sampling\.temperature: "),
        (FULL.replace('"Rate it."', "3"), r"judge\.toml: program\.sections\.task: "),
        (FULL.replace('["no", "yes"]', '["no"]'), r"judge\.toml: task\.scale: .*needs 2 anchors"),
        (FULL.replace("rating = 1", "rating = 2"), r"judge\.toml: .*demonstration ratings \[2\] are off scale 0-1"),
        (FULL.replace("rating = 1", "rating = 0.5"), r"judge\.toml: program\.demonstrations\.0\.rating: "),
        ("= nothing", r"judge\.toml: not a readable judge file"),
        (b"\xff\xfe", r"judge\.toml: not a readable judge file"),
    ],
)
def test_a_wrong_file_is_refused_naming_file_and_key(load, text, message):
    with pytest.raises(RefusedInputError, match=message):
        load(text)


def test_a_missing_file_is_refused_with_advice(tmp_path):
    with pytest.raises(RefusedInputError, match=r"gone\.toml: no such judge file; give one with --judge FILE"):
        load_judge_file(tmp_path / "gone.toml")


def test_a_folder_is_refused(tmp_path):
    with pytest.raises(RefusedInputError, match="not a readable judge file"):
        load_judge_file(tmp_path)

"""Configs: file, then flags, checked as a whole; every refusal names its key."""

import json

import pytest

from cluster.adapting.config import CalibrateConfig, EvaluateConfig, OptimizeConfig
from cluster.commands.settings import build_config
from cluster.endpoint.config import EXAMPLES, DeployConfig, ServeConfig
from cluster.gating.config import GateRunConfig
from cluster.labeling.config import LabelConfig
from judge_serve.judging import AnswerMode, RefusedInputError

EVALUATE = {"data": "data.jsonl", "out": "out/run"}


def write(tmp_path, text):
    path = tmp_path / "config.toml"
    path.write_text(text, encoding="utf-8")
    return path


def test_defaults_are_the_shipped_judge_on_the_embedded_model():
    config = build_config(EvaluateConfig, None, EVALUATE)
    assert (config.judge, config.model, config.mode) == (EXAMPLES / "judge.toml", "embedded", AnswerMode.GENERATE)
    assert (config.split, config.limit, config.release) == ("test", None, None)


def test_a_file_gives_values_and_flags_override_them(tmp_path):
    file = write(tmp_path, 'data = "file.jsonl"\nout = "file"\nmode = "guided"\nlimit = 5\n')
    config = build_config(EvaluateConfig, file, {"data": "flag.jsonl"})
    assert (config.data, str(config.out), config.mode, config.limit) == ("flag.jsonl", "file", AnswerMode.GUIDED, 5)


def test_a_flag_takes_out_what_a_file_sets(tmp_path):
    file = write(tmp_path, 'data = "d"\nout = "o"\njudge = "j.toml"\nmode = "guided"\nlimit = 5\n')
    flags = {"release": "champion", "judge": None, "mode": None, "limit": None, "split": None}
    config = build_config(EvaluateConfig, file, flags)
    assert (config.release, config.judge, config.mode) == ("champion", None, None)
    assert (config.limit, config.split) == (None, "test")


def test_a_flag_that_is_false_or_zero_is_given():
    with pytest.raises(RefusedInputError, match=r"--limit: "):
        build_config(EvaluateConfig, None, {**EVALUATE, "limit": 0})


def test_a_config_survives_json():
    config = build_config(OptimizeConfig, None, {**EVALUATE, "optimizer": "mipro"})
    assert OptimizeConfig.model_validate_json(json.dumps(config.model_dump(mode="json"))) == config


def test_a_config_cannot_be_changed():
    with pytest.raises(ValueError, match="frozen"):
        build_config(EvaluateConfig, None, EVALUATE).limit = 3


@pytest.mark.parametrize(
    ("kind", "flags", "message"),
    [
        (EvaluateConfig, {"out": "x"}, "--data: Field required"),
        (EvaluateConfig, {"data": "x"}, "--out: Field required"),
        (EvaluateConfig, {**EVALUATE, "mode": "free"}, "--mode: Input should be 'generate', 'guided' or 'expected'"),
        (EvaluateConfig, {**EVALUATE, "split": "tets"}, "--split: Input should be 'train', 'val' or 'test'"),
        (EvaluateConfig, {**EVALUATE, "surprise": 1}, "--surprise: Extra inputs are not permitted"),
        (OptimizeConfig, {**EVALUATE, "optimizer": "gepa", "budget": 0}, "--budget: "),
        (OptimizeConfig, {**EVALUATE, "optimizer": "gepa", "seed": -1}, "--seed: "),
        (OptimizeConfig, {**EVALUATE, "optimizer": "gepa", "reflection_model": 3}, "--reflection-model: "),
        (ServeConfig, {"port": 0}, "--port: "),
        (ServeConfig, {"port": 65_536}, "--port: "),
        (DeployConfig, {"release": "champion", "force": "x"}, "--force: String should have at least 3 characters"),
        (LabelConfig, {"input": "x", "out": "y"}, "--release: Field required"),
    ],
)
def test_a_bad_value_is_refused_by_the_name_of_its_flag(kind, flags, message):
    with pytest.raises(RefusedInputError, match=f"^{message}"):
        build_config(kind, None, flags)


@pytest.mark.parametrize("text", ["data = ", "\x00", "[data"])
def test_a_file_that_is_no_toml_is_refused(tmp_path, text):
    with pytest.raises(RefusedInputError, match=r"--config .*config\.toml: not a readable TOML file"):
        build_config(EvaluateConfig, write(tmp_path, text), EVALUATE)


def test_a_missing_file_is_refused(tmp_path):
    with pytest.raises(RefusedInputError, match=r"gone\.toml: not a readable TOML file"):
        build_config(EvaluateConfig, tmp_path / "gone.toml", EVALUATE)


def test_an_unknown_key_of_a_file_is_refused(tmp_path):
    with pytest.raises(RefusedInputError, match="--datta: Extra inputs"):
        build_config(EvaluateConfig, write(tmp_path, 'datta = "x"'), EVALUATE)


# --- the config.json of a run ---


def kept(folder, config):
    """The file that a run of this config leaves in its folder."""
    folder.mkdir()
    file = folder / "config.json"
    file.write_text(json.dumps(config.saved()))
    return file


@pytest.mark.parametrize(
    ("kind", "settings"),
    [
        (EvaluateConfig, {}),
        (EvaluateConfig, {"release": "champion", "limit": 3}),
        (OptimizeConfig, {"optimizer": "gepa", "price": ["m=2/8"], "rules": {"min_examples": 7}}),
        (CalibrateConfig, {"method": "none"}),
        (GateRunConfig, {"release": "champion"}),
    ],
)
def test_the_config_of_a_run_repeats_it_elsewhere(tmp_path, kind, settings):
    ran = build_config(kind, None, {"data": "d.jsonl", "out": str(tmp_path / "run"), **settings})
    file = kept(tmp_path / "run", ran)
    assert build_config(kind, file, {"out": str(tmp_path / "again")}) == ran.model_copy(
        update={"out": tmp_path / "again"}
    )


def test_the_config_of_a_run_does_not_overwrite_it(tmp_path):
    ran = build_config(EvaluateConfig, None, {"data": "d.jsonl", "out": str(tmp_path / "run")})
    with pytest.raises(
        RefusedInputError, match=r"is of the run in .*run; give another --out to repeat it, or --resume"
    ):
        build_config(EvaluateConfig, kept(tmp_path / "run", ran), {})


def test_a_run_that_cannot_be_resumed_is_not_said_to_be(tmp_path):
    ran = build_config(LabelConfig, None, {"input": "x", "release": "champion", "out": str(tmp_path / "run")})
    with pytest.raises(RefusedInputError, match=r"give another --out to repeat it$"):
        build_config(LabelConfig, kept(tmp_path / "run", ran), {})


def test_the_config_of_a_run_goes_on_with_it(tmp_path):
    ran = build_config(EvaluateConfig, None, {"data": "d.jsonl", "out": str(tmp_path / "run")})
    assert build_config(EvaluateConfig, kept(tmp_path / "run", ran), {"resume": True}).saved() == ran.saved()


@pytest.mark.parametrize("text", ["", "{", "[]", "3"])
def test_a_file_that_is_no_config_of_a_run_is_refused(tmp_path, text):
    file = tmp_path / "config.json"
    file.write_text(text)
    with pytest.raises(RefusedInputError, match=r"--config .*config\.json: (not a readable JSON file|expected keys)"):
        build_config(EvaluateConfig, file, EVALUATE)

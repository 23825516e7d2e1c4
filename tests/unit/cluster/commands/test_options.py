"""Flags made from configs: every field is explained and can be given, and what is not given leaves the file's value."""

import importlib
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, Literal

import pytest
from click.testing import CliRunner
from pydantic import Field

from cluster.adapting.config import OptimizeConfig
from cluster.commands import COMMANDS, app
from cluster.commands.options import _kind_of, _metavar, as_click
from cluster.commands.running import Command
from cluster.commands.settings import build_config
from cluster.runs.config import CommandConfig
from judge_serve.judging.judgment import AnswerMode
from optimize_workers.evidence.gate.config import GateConfig


class EveryKind(CommandConfig):
    """One field of each kind."""

    data: str = Field(description="what is read")
    rest: tuple[str, ...] = Field((), description="what else is read")
    size: int | None = Field(None, description="how large")
    share: float = Field(0.5, description="which part")
    quick: bool = Field(False, description="not all of it")
    careful: bool = Field(True, description="all of it")
    split: Literal["train", "val"] | None = Field(None, description="which split")
    mode: AnswerMode = Field(AnswerMode.GENERATE, description="how")
    folder: Path | None = Field(None, description="where")
    beside: tuple[Path, ...] | None = Field(None, description="beside what")
    no_colour: bool = Field(False, description="grey")
    reason: Annotated[str, Field(min_length=3)] | None = Field(None, description="why")
    rules: GateConfig = Field(GateConfig(), description="a table")


SEARCH = {"data": "x", "optimizer": "gepa", "out": "o"}
GIVEN: list[dict[str, Any]] = []


def keep(config, _progress):
    GIVEN.append(config.model_dump(mode="json", exclude_unset=True))
    return {}


def given(*arguments):
    """What a command with these arguments sets."""
    command = as_click("every", Command(EveryKind, keep, print, positional=("data", "rest")), "Every kind.")
    done = CliRunner().invoke(command, list(arguments), catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return GIVEN.pop() if GIVEN else done.stdout


def modules() -> Iterator[tuple[tuple[str, ...], Command[Any]]]:
    """Every command by the words that name it."""
    for name, (module, _) in COMMANDS.items():
        command = importlib.import_module(module).COMMAND
        if isinstance(command, Command):
            yield (name,), command
        else:
            yield from (((name, part), one) for part, (one, _help) in command.items())


ALL = list(modules())


@pytest.mark.parametrize(("words", "command"), ALL, ids=[" ".join(words) for words, _ in ALL])
def test_every_field_of_every_config_is_explained_and_named_by_help(words, command):
    done = CliRunner().invoke(app, [*words, "--help"], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    for key, field in command.config.model_fields.items():
        assert field.description, f"{command.config.__name__}.{key} has no description, which is the help of its flag"
        shown = (f"[{key.upper()}]", f"--{key.replace('_', '-')} ", f"--no-{key.replace('_', '-')}\n", f"[{key}], in")
        assert any(form in f"{done.stdout}\n" for form in shown), f"{words}: help does not name {key}"
    assert all(f"  {flag} " in done.stdout for flag in ("--json", "--config PATH", "--dry-run"))


@pytest.mark.parametrize(("words", "command"), ALL, ids=[" ".join(words) for words, _ in ALL])
def test_positional_names_are_fields(words, command):
    assert set(command.positional) <= set(command.config.model_fields)


@pytest.mark.parametrize(
    ("arguments", "found"),
    [
        (["x"], {"data": "x"}),
        (["x", "y", "z"], {"data": "x", "rest": ["y", "z"]}),
        (["x", "--size", "0"], {"data": "x", "size": 0}),
        (["x", "--share", "0.25", "--reason", "why not"], {"data": "x", "share": 0.25, "reason": "why not"}),
        (["x", "--quick"], {"data": "x", "quick": True}),
        (["x", "--no-quick", "--no-colour"], {"data": "x", "quick": False, "no_colour": True}),
        (["x", "--careful"], {"data": "x", "careful": True}),
        (["x", "--no-careful"], {"data": "x", "careful": False}),
        (["x", "--split", "val", "--mode", "guided"], {"data": "x", "split": "val", "mode": "guided"}),
        (["x", "--folder", "a", "--beside", "b", "--beside", "c"], {"data": "x", "folder": "a", "beside": ["b", "c"]}),
    ],
)
def test_a_config_gets_what_is_given_and_nothing_else(arguments, found):
    assert given(*arguments) == found


def test_a_flag_that_is_given_overrides_the_file_and_one_that_is_not_leaves_it(tmp_path):
    (tmp_path / "c.toml").write_text('data = "file"\nquick = true\ncareful = false\nsize = 3\nrest = ["a"]\n')
    settings = ["--config", str(tmp_path / "c.toml")]
    file = {"data": "file", "quick": True, "careful": False, "size": 3, "rest": ["a"]}
    assert given(*settings) == file
    assert given("flag", *settings, "--careful", "--size", "0") == {**file, "data": "flag", "careful": True, "size": 0}


def test_a_flag_takes_out_what_the_file_sets(tmp_path):
    (tmp_path / "c.toml").write_text(
        'data = "file"\nquick = true\nno_colour = true\nsize = 3\nsplit = "val"\nbeside = ["a"]\nrest = ["a"]\n'
    )
    flags = ["--size", "none", "--split", "none", "--beside", "none", "--no-quick", "--colour"]
    found = given("x", "none", "--config", str(tmp_path / "c.toml"), *flags)
    assert found == {"data": "x", "quick": False, "no_colour": False}


@pytest.mark.parametrize(("words", "command"), ALL, ids=[" ".join(words) for words, _ in ALL])
def test_none_is_no_choice_of_a_setting_that_may_be_without_a_value(words, command):
    for field in command.config.model_fields.values():
        if field.default in (None, (), {}):
            assert not re.search(r"\bnone\b", _metavar(_kind_of(field).of))


def test_a_table_is_set_in_the_file_only(tmp_path):
    (tmp_path / "c.toml").write_text('data = "file"\n[rules]\nmin_examples = 7\n')
    assert given("--config", str(tmp_path / "c.toml"))["rules"] == {"min_examples": 7}
    assert "[rules], in a --config file only: a table" in given("--help")


def test_help_says_what_is_required_what_is_usual_and_what_may_be_chosen():
    shown = " ".join(given("--help").split())
    assert "[DATA] what is read [required]" in shown
    assert "--share NUMBER which part [default: 0.5]" in shown
    assert "--careful / --no-careful all of it [default: yes]" in shown
    assert "--split [train|val] which split" in shown
    assert "--mode [generate|guided|expected] how [default: generate]" in shown


@pytest.mark.usefixtures("home")
@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        (["optimize", "x", "--out", "o", "--optimizer", "nosuch"], "--optimizer: unknown optimizer"),
        (["evaluate", "x", "--out", "o", "--mode", "free"], "--mode: Input should be 'generate', 'guided' or"),
        (["evaluate", "x", "--out", "o", "--limit", "many"], "--limit: Input should be a valid integer"),
        (["calibrate", "x", "--out", "o", "--method", "nosuch"], "--method: Input should be 'auto', 'none', 'affine'"),
        (["optimize", "x", "--out", "o", "--optimizer", "gepa", "--price", "x"], "--price: 'x' is no price"),
    ],
)
def test_what_cannot_be_chosen_is_refused_in_one_line(arguments, why):
    done = CliRunner().invoke(app, arguments)
    assert (done.exit_code, done.stdout) == (2, "")
    assert done.stderr.startswith(f"relevance-judge: {why}") and len(done.stderr.splitlines()) == 1


def test_prices_are_given_one_by_one():
    config = build_config(OptimizeConfig, None, {**SEARCH, "price": ("m=2/8", "n=0/1")})
    prices = {"m": {"prompt": 2.0, "completion": 8.0}, "n": {"prompt": 0.0, "completion": 1.0}}
    assert config.model_dump(mode="json")["price"] == prices

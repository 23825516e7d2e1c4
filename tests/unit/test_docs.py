"""The documents keep to the command line, the files and the make targets that exist."""

import re
import shlex
from pathlib import Path
from typing import Any, NamedTuple

import click
import pytest
from click.testing import CliRunner

from cluster.commands import COMMANDS, app, options
from cluster.commands.running import Command
from cluster.commands.settings import build_config
from cluster.endpoint.endpoint_file import load_endpoint_file
from judge_serve.judging import load_judge_file

ROOT = Path(__file__).resolve().parents[2]
TOP = ("README.md", "CONTRIBUTING.md", "CHANGELOG.md", "k8s/README.md")
DOCS = sorted([*(ROOT / name for name in TOP), *(ROOT / "docs").rglob("*.md")])
COMMAND = "relevance-judge"
OPERATORS = {"|", "||", "&&", ";", "&", ">", ">>", "<", "2>"}
SHELLS = {"", "bash", "sh", "shell", "console"}
FENCE = re.compile(r"^```([^\n`]*)\n(.*?)^```[ \t]*$", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
INLINE = re.compile(r"`(?:\.venv/bin/)?relevance-judge ([^`]*)`")


class Line(NamedTuple):
    doc: str
    args: tuple[str, ...]

    def __str__(self) -> str:
        return f"{self.doc}: {shlex.join(self.args)}"


def own_words(line: str) -> list[str] | None:
    """Arguments of our command in one shell line; None where the line does not run it."""
    lexer = shlex.shlex(line.strip().removeprefix("$ "), posix=True, punctuation_chars=True)
    lexer.whitespace_split = True
    words = list(lexer)
    while words and re.fullmatch(r"\w+=.*", words[0]):  # variables set for this command
        words.pop(0)
    if not words or Path(words[0]).name != COMMAND:
        return None
    end = next((i for i, word in enumerate(words) if word in OPERATORS), len(words))
    return words[1:end]


def shell_lines(text: str) -> list[str]:
    blocks = [body for language, body in FENCE.findall(text) if language.strip() in SHELLS]
    return [line for body in blocks for line in body.replace("\\\n", " ").splitlines() if COMMAND in line]


def command_lines() -> list[Line]:
    found = []
    for doc in DOCS:
        for line in shell_lines(doc.read_text(encoding="utf-8")):
            words = own_words(line)
            if words is not None:
                found.append(Line(doc.relative_to(ROOT).as_posix(), tuple(words)))
    return found


def toml_files() -> dict[str, str]:
    """Example files of the documents: TOML blocks whose first line is a comment with a file name."""
    blocks = [
        body for doc in DOCS for language, body in FENCE.findall(doc.read_text(encoding="utf-8")) if language == "toml"
    ]
    return {body.splitlines()[0].removeprefix("# "): body for body in blocks if re.match(r"# \S+\.toml\n", body)}


def commands() -> dict[str, click.Command]:
    context = click.Context(app)
    return {name: command for name in COMMANDS if (command := app.get_command(context, name))}


def anchors(text: str) -> set[str]:
    headings = re.findall(r"^#+ +(.+?) *$", FENCE.sub("", text), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.fixture
def example_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name, body in toml_files().items():
        (tmp_path / name).write_text(body, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("line", command_lines(), ids=str)
@pytest.mark.filterwarnings("ignore")  # a dry run imports third parties; their deprecations are not tested here
def test_every_command_line_of_the_documents_resolves(
    line: Line, example_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Flags and the files of the documents make a config; the data that they name are nowhere."""
    made = []

    def resolve(command: Command[Any], flags: dict[str, Any], file: Path | None, **_: bool) -> None:
        made.append(build_config(command.config, file, flags))

    monkeypatch.setattr(options, "run_command", resolve)
    done = CliRunner().invoke(app, list(line.args))
    assert done.exit_code == 0, f"{done.output}{done.exception}"
    assert made or "--version" in line.args


def test_the_readme_shows_every_main_command_in_a_block() -> None:
    shown = {line.args[0] for line in command_lines() if line.doc == "README.md"}
    assert shown >= {"evaluate", "optimize", "serve", "deploy", "label"}


@pytest.mark.parametrize("doc", DOCS, ids=lambda doc: doc.relative_to(ROOT).as_posix())
def test_commands_named_in_the_text_have_the_flags_that_it_gives_them(doc: Path) -> None:
    known = commands()
    for words in INLINE.findall(FENCE.sub("", doc.read_text(encoding="utf-8"))):
        name = words.split()[0]
        assert name in known, f"{doc.name}: no command {name!r}"
        command = known[name]
        for word in words.split()[1:2]:  # a group, such as `ledger`
            command = getattr(command, "commands", {}).get(word, command)
        options = {option for parameter in command.params for option in parameter.opts}
        unknown = set(re.findall(r"--[a-z][a-z-]*", words)) - options
        assert not unknown, f"{doc.name}: {name} has no {sorted(unknown)}"


@pytest.mark.parametrize("doc", DOCS, ids=lambda doc: doc.relative_to(ROOT).as_posix())
def test_every_link_leads_to_a_file_and_a_heading_that_exist(doc: Path) -> None:
    text = FENCE.sub("", doc.read_text(encoding="utf-8"))
    for link in LINK.findall(text):
        if link.startswith(("http://", "https://")):
            continue
        path, _, anchor = link.partition("#")
        target = (doc.parent / path).resolve() if path else doc
        assert target.exists(), f"{doc.name}: {link} leads nowhere"
        assert target.is_relative_to(ROOT), f"{doc.name}: {link} leads out of the project"
        if anchor:
            assert anchor in anchors(target.read_text(encoding="utf-8")), f"{doc.name}: no heading for {link}"


@pytest.mark.parametrize("doc", DOCS, ids=lambda doc: doc.relative_to(ROOT).as_posix())
def test_make_targets_named_in_the_documents_exist(doc: Path) -> None:
    text = doc.read_text(encoding="utf-8")
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    targets = set(re.findall(r"^([a-z][\w-]*):", makefile, re.MULTILINE))
    named = set(re.findall(r"(?:`|^|&& )make ([a-z][\w-]*)", text, re.MULTILINE))
    assert named <= targets, f"{doc.name}: {sorted(named - targets)}"


@pytest.mark.parametrize("doc", [doc for doc in DOCS if doc.name != "CHANGELOG.md"], ids=lambda doc: doc.name)
def test_modules_and_rooms_named_in_the_documents_exist(doc: Path) -> None:
    text = doc.read_text(encoding="utf-8")
    ours = ("cluster/", "judge_serve/", "optimize_workers/", "benchmarks/", "tests/")
    named = set(re.findall(r"`([\w./-]+(?:\.py|/))`", text))
    missing = [name for name in named if name.startswith(ours) and not (ROOT / name).exists() and "NAME" not in name]
    assert not missing, f"{doc.name}: {missing}"


def test_the_judge_file_of_the_documents_is_readable(example_folder: Path) -> None:
    judge_file = load_judge_file(example_folder / "my-judge.toml")
    assert list(judge_file.program.sections) == ["rubric", "explanation"]


def test_the_endpoint_file_of_the_documents_is_readable(example_folder: Path) -> None:
    config = load_endpoint_file(example_folder / "endpoint.toml")
    assert (config.key_header, config.dialect.token_limit) == ("api-key", "max_completion_tokens")


def test_shell_words_around_the_command_are_left_out() -> None:
    assert own_words("KEY=x .venv/bin/relevance-judge label 'a b' --out o | tee log") == ["label", "a b", "--out", "o"]
    assert own_words("relevance-judge serve &") == ["serve"]
    assert own_words("curl http://host/relevance-judge") is None
    assert own_words("# relevance-judge serve") is None


def test_the_documents_hold_no_path_of_a_machine() -> None:
    for doc in DOCS:
        found = re.findall(r"(?<![\w.])/(?:home|work|Users|root)/\S*", doc.read_text(encoding="utf-8"))
        assert not found, f"{doc.name}: {found}"

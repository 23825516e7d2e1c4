"""Running a command: what an error becomes."""

import importlib
from types import ModuleType

import pytest
from click.exceptions import Exit
from click.testing import CliRunner

from cluster.commands import app
from cluster.commands.running import Command, run_command
from cluster.runs.config import CommandConfig
from judge_serve.judging.errors import OutageError


def ended_by(run):
    """Exit status of a command that ends like this."""
    with pytest.raises(Exit) as ended:
        run_command(Command(CommandConfig, run, print), {}, as_json=True)
    return ended.value.exit_code


def interrupted_while_cleaning_up_raises(error):
    def run(_config, _progress):
        try:
            raise KeyboardInterrupt
        finally:
            raise error

    return run


@pytest.mark.parametrize("error", [FileNotFoundError("journal.lock"), OutageError("gone")])
def test_an_error_of_cleaning_up_after_ctrl_c_is_an_interruption(error, capsys):
    assert ended_by(interrupted_while_cleaning_up_raises(error)) == 130
    assert "interrupted" in capsys.readouterr().err


def test_an_error_without_ctrl_c_is_a_failure(capsys):
    def run(_config, _progress):
        try:
            raise ValueError("first")
        except ValueError as error:
            raise FileNotFoundError("second") from error

    assert ended_by(run) == 1
    assert "unexpected FileNotFoundError: second" in capsys.readouterr().err


@pytest.mark.parametrize("moment", ["import", "show"])
def test_ctrl_c_outside_of_the_work_is_an_interruption_too(moment, monkeypatch):
    def stop(*_):
        raise KeyboardInterrupt

    shown = ModuleType("cluster.commands.status")
    shown.COMMAND = Command(CommandConfig, lambda *_: {}, stop)
    monkeypatch.setattr(importlib, "import_module", stop if moment == "import" else lambda _: shown)
    done = CliRunner().invoke(app, ["status"])
    assert done.exit_code == 130
    assert "interrupted" in done.output

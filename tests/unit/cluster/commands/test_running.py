"""Running a command: what an error and a signal become."""

import importlib
import os
import signal
import subprocess
import sys
import time
from types import ModuleType

import pytest
from click.exceptions import Exit
from click.testing import CliRunner

from cluster.commands import app
from cluster.commands.running import Command, run_command
from cluster.endpoint.signals import Terminated
from cluster.runs.config import CommandConfig
from judge_serve.judging.errors import OutageError


def ended_by(run):
    """Exit status of a command that ends like this."""
    with pytest.raises(Exit) as ended:
        run_command(Command(CommandConfig, run, print), {}, as_json=True)
    return ended.value.exit_code


def interrupted_while_cleaning_up_raises(error, signal=KeyboardInterrupt):
    def run(_config, _progress):
        try:
            raise signal
        finally:
            raise error

    return run


@pytest.mark.parametrize("error", [FileNotFoundError("journal.lock"), OutageError("gone")])
def test_an_error_of_cleaning_up_after_ctrl_c_is_an_interruption(error, capsys):
    assert ended_by(interrupted_while_cleaning_up_raises(error)) == 130
    assert "interrupted" in capsys.readouterr().err


def test_an_error_of_cleaning_up_after_sigterm_is_told_as_sigterm(capsys):
    assert ended_by(interrupted_while_cleaning_up_raises(OutageError("gone"), Terminated)) == 143
    assert capsys.readouterr().err == "relevance-judge: ended by SIGTERM; everything started here was stopped\n"


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


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_command_that_is_at_work_ends_by_a_signal_with_one_line(tmp_path, number, status):
    judge = tmp_path / "judge.toml"
    os.mkfifo(judge)
    words = [sys.executable, "-m", "cluster", "evaluate", "x", "--judge", judge, "--out", tmp_path / "out"]
    environment = {**os.environ, "RELEVANCE_JUDGE_HOME": str(tmp_path)}
    with (
        subprocess.Popen(words, env=environment, stderr=subprocess.PIPE, text=True) as process,
        judge.open("w"),  # returns when the command opens it to read, which then waits for more
    ):
        time.sleep(0.2)
        process.send_signal(number)
        _, said = process.communicate(timeout=30)
    assert process.returncode == status
    assert said.splitlines()[-1].endswith("; everything started here was stopped") and len(said.splitlines()) == 1


def test_what_libraries_print_is_neither_result_nor_shown(capsys, caplog):
    def run(_config, _progress):
        print("(raylet) The actor is dead")
        return {"a": 1}

    with caplog.at_level("DEBUG", logger="cluster.commands.printing"):
        run_command(Command(CommandConfig, run, print), {}, as_json=True)
    shown = capsys.readouterr()
    assert (shown.out, shown.err) == ('{"a": 1}\n', "")
    assert [record.getMessage() for record in caplog.records] == ["printed: (raylet) The actor is dead"]


def test_rays_own_way_with_sigterm_ends_as_ours():
    def run(_config, _progress):
        sys.exit(int(signal.SIGTERM))  # as Ray does while it starts

    with pytest.raises(Terminated):
        run_command(Command(CommandConfig, run, print), {})

"""Running a command: what an error becomes."""

import pytest
from click.exceptions import Exit

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

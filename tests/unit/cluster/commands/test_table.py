"""The table of commands: one is imported when it is chosen, and help imports no library that takes seconds."""

import subprocess
import sys

import pytest

from cluster.commands import COMMANDS

SLOW = ("ray", "mlflow", "dspy", "pandas", "scipy", "sklearn", "pyarrow", "optuna", "sqlalchemy", "torch", "vllm")
SCRIPT = """
import sys
from click.testing import CliRunner
from cluster.commands import app
done = CliRunner().invoke(app, sys.argv[1:])
assert done.exit_code == 0, done.output
print(*sys.modules)
"""


def imported_by(*words):
    """Modules in memory after a command."""
    done = subprocess.run([sys.executable, "-c", SCRIPT, *words], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return set(done.stdout.split())


def test_the_list_of_commands_imports_none_of_them():
    found = imported_by("--help")
    assert {name for name in found if name.startswith("cluster.")} == {
        "cluster.commands",
        "cluster.endpoint",
        "cluster.endpoint.ray_environment",
    }
    assert not found & {*SLOW, "pydantic", "numpy", "rich", "judge_serve"}


@pytest.mark.parametrize("name", COMMANDS)
def test_help_of_a_command_imports_its_module_only_and_nothing_slow(name):
    found = imported_by(name, "--help")
    own = {module for module, _ in COMMANDS.values()}
    assert found & own == {COMMANDS[name][0]}
    assert not found & set(SLOW)


def test_the_list_shows_every_command_in_the_order_of_the_table():
    done = subprocess.run(
        [sys.executable, "-m", "cluster", "--help"], capture_output=True, text=True, timeout=60, check=True
    )
    rows = done.stdout.split("Commands:\n")[1].splitlines()
    assert [row.split()[0] for row in rows if row[2] != " "] == list(COMMANDS)

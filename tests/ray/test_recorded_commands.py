"""Commands write what was recorded of them, and a ledger of version 0.1 answers once its model does as then."""

import json
import shutil

import pytest

from tests.recorded import commands

pytestmark = pytest.mark.ray
RECORDED = json.loads(commands.RECORDED.read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    """What the commands write today."""
    return commands.run_all(tmp_path_factory.mktemp("recorded"))


@pytest.mark.parametrize("name", commands.COMMANDS)
def test_a_command_writes_what_was_recorded(found, name):
    assert found[name] == RECORDED[name]


def test_a_ledger_of_version_0_1_answers_once_a_sample_of_it_agrees(tmp_path):
    (tmp_path / "home").mkdir()
    shutil.copy(commands.LEDGER, tmp_path / "home" / "ledger.db")
    with commands.endpoint():
        done = commands.run(commands.COMMANDS["evaluate"], tmp_path / "out", tmp_path / "home")
    printed = done["stdout"]
    assert (done["status"], printed["cached"], printed["calls"]) == (0, 30, 30)
    recorded = RECORDED["evaluate"]["stdout"]
    assert printed["nmse"] == recorded["nmse"]
    assert printed["judge"] == recorded["judge"]

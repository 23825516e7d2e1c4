"""A run has its folder to itself, whichever process begins it, for as long as that lives."""

import os
import signal
import subprocess
import sys

import pytest

from cluster.progress import Progress
from cluster.runs.run import begin_run, open_ledger
from judge_serve.judging.errors import RefusedInputError

BEGINS_AND_WAITS = """
import sys, time
from pathlib import Path
from cluster.progress import Progress
from cluster.runs.run import begin_run, open_ledger
with open_ledger() as ledger, Progress() as progress:
    run = begin_run("evaluate", Path(sys.argv[1]), {"by": "another"}, ledger, progress)
    print("begun", flush=True)
    time.sleep(60)
"""


def begin(folder, resume=False):
    with open_ledger() as ledger, Progress() as progress:
        return begin_run("evaluate", folder, {"by": "us"}, ledger, progress, resume=resume)


def test_a_folder_that_another_process_writes_into_is_refused_until_that_is_gone(tmp_path, monkeypatch):
    monkeypatch.setenv("RELEVANCE_JUDGE_HOME", str(tmp_path / "home"))
    folder = tmp_path / "run"
    other = subprocess.Popen([sys.executable, "-c", BEGINS_AND_WAITS, str(folder)], stdout=subprocess.PIPE, text=True)
    try:
        assert other.stdout.readline() == "begun\n"
        written = (folder / "config.json").read_text()
        with pytest.raises(RefusedInputError, match="another command writes into"):
            begin(folder)
        assert (folder / "config.json").read_text() == written
        begin(tmp_path / "elsewhere" / "run")
    finally:
        os.kill(other.pid, signal.SIGKILL)
        other.communicate()
    begin(folder).finish({})


def test_a_process_begins_and_resumes_as_often_as_it_likes(tmp_path, monkeypatch):
    monkeypatch.setenv("RELEVANCE_JUDGE_HOME", str(tmp_path / "home"))
    first = begin(tmp_path / "run")
    second = begin(tmp_path / "run", resume=True)
    assert first.folder.path == second.folder.path

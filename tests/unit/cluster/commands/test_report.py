"""The command `report`: a finished run's report written anew, there or elsewhere; what is no run is refused."""

import json

import pytest
from click.testing import CliRunner

from cluster.commands import app
from tests.recorded_searches import write_search

pytestmark = pytest.mark.usefixtures("home")


def run(*arguments):
    return CliRunner().invoke(app, ["report", *map(str, arguments)])


def test_a_report_is_written_anew(tmp_path):
    folder = write_search(tmp_path / "run")
    (folder / "report.html").write_text("old")
    done = run(folder, "--json")
    answer = json.loads(done.stdout)
    assert done.exit_code == 0
    assert answer["report"] == str(folder / "report.html")
    assert answer["bytes"] == len((folder / "report.html").read_bytes()) > 10_000
    assert (folder / "figures.json").is_file()


def test_a_report_elsewhere_leaves_the_run_as_it_is(tmp_path):
    folder = write_search(tmp_path / "run")
    before = sorted(folder.iterdir())
    assert run(folder, "--out", tmp_path / "shown.html").exit_code == 0
    assert (tmp_path / "shown.html").read_text(encoding="utf-8").startswith("<!doctype html>")
    assert sorted(folder.iterdir()) == before


def test_what_is_no_run_is_refused(tmp_path):
    done = run(tmp_path)
    assert done.exit_code == 2
    assert "holds no finished run (no readable result.json)" in done.stderr


def test_a_place_that_cannot_be_written_is_refused(tmp_path):
    done = run(write_search(tmp_path / "run"), "--out", tmp_path / "nosuch" / "report.html")
    assert done.exit_code == 2
    assert "cannot be written" in done.stderr and "choose another --out" in done.stderr


def test_a_dry_run_writes_nothing(tmp_path):
    folder = write_search(tmp_path / "run")
    done = run(folder, "--dry-run")
    assert json.loads(done.stdout) == {"run": str(folder), "out": None}
    assert not (folder / "report.html").exists()

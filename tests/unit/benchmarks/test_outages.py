"""Outages: what holds when, and what an outage file may hold."""

import pytest
from pydantic import ValidationError

from benchmarks.outages import Outage, OutageSwitch, read_outage, write_outage
from judge_serve.judging import RefusedInputError

BUSY = Outage(status=429, retry_after_s=2.0)
DOWN = Outage(status=500, message="gone")


def test_a_new_switch_is_off():
    switch = OutageSwitch(lambda: 0.0)
    assert (switch.on_arrival(), switch.under_way()) == (None, None)


def test_the_next_calls_fail_on_arrival_only_and_one_after_the_other():
    switch = OutageSwitch(lambda: 0.0)
    switch.fail_next(1, BUSY)
    switch.fail_next(1, DOWN)
    assert switch.under_way() is None
    assert [switch.on_arrival() for _ in range(3)] == [BUSY, DOWN, None]


def test_a_lasting_outage_holds_until_its_end():
    now = [50.0]
    switch = OutageSwitch(lambda: now[0])
    switch.fail_for(10.0, DOWN)
    found = []
    for now[0] in (50.0, 59.9, 60.0):
        found.append(switch.on_arrival())
    assert found == [DOWN, DOWN, None]


def test_a_later_command_replaces_a_lasting_outage():
    switch = OutageSwitch(lambda: 0.0)
    switch.fail_for(10.0, DOWN)
    switch.fail_for(10.0, BUSY)
    assert switch.under_way() == BUSY


def test_a_file_means_an_outage_as_long_as_it_exists(tmp_path):
    file = tmp_path / "outage"
    switch = OutageSwitch(lambda: 0.0, file)
    assert switch.under_way() is None
    write_outage(file, BUSY)
    assert (switch.on_arrival(), switch.under_way()) == (BUSY, BUSY)
    file.unlink()
    assert switch.on_arrival() is None


@pytest.mark.parametrize("text", ["", " \n", "{}", '{"status": 503}'])
def test_an_outage_file_that_says_little_is_a_503(tmp_path, text):
    file = tmp_path / "outage"
    file.write_text(text, encoding="utf-8")
    assert read_outage(file) == Outage(status=503, retry_after_s=None)


@pytest.mark.parametrize("text", ["down", "[]", '{"status": 200}', '{"until": 3}'])
def test_an_outage_file_that_holds_something_else_is_refused(tmp_path, text):
    file = tmp_path / "outage"
    file.write_text(text, encoding="utf-8")
    with pytest.raises(RefusedInputError, match=r'outage file .* expected JSON such as \{"status":503'):
        read_outage(file)


def test_a_file_that_is_gone_is_no_outage(tmp_path):
    assert read_outage(tmp_path / "outage") is None


def test_writing_an_outage_leaves_nothing_else_behind(tmp_path):
    write_outage(tmp_path / "outage", BUSY)
    write_outage(tmp_path / "outage", DOWN)
    assert [path.name for path in tmp_path.iterdir()] == ["outage"]
    assert read_outage(tmp_path / "outage") == DOWN


@pytest.mark.parametrize("wrong", [{"status": 200}, {"status": 600}, {"retry_after_s": -1}, {"wait": 1}])
def test_impossible_outages_are_refused(wrong):
    with pytest.raises(ValidationError):
        Outage.model_validate(wrong)

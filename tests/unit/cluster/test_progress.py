"""Progress: numbers worked by hand on a fake clock, plain lines in logs, hostile text."""

from dataclasses import replace

import pytest

from cluster.progress import Tally, printable
from tests.unit.cluster.shown import CACHED, INVALID, VALID, Shown


@pytest.fixture
def log():
    """Progress into a file."""
    shown = Shown()
    yield shown
    shown.progress.close()


# --- numbers ---


def tally(total=0, started=0.0, **left):
    made = Tally(total, started)
    for name, value in left.items():
        setattr(made, name, value)
    return made


def test_the_rate_is_that_of_the_phase_while_it_is_young():
    counted = tally()
    counted.add([VALID] * 6, now=2.0)
    counted.add([VALID] * 2, now=4.0)
    assert counted.rate(4.0) == 2.0
    assert counted.rate(8.0) == 1.0


def test_the_rate_is_that_of_the_last_half_minute_later():
    counted = tally()
    counted.add([VALID] * 900, now=10.0)
    assert counted.rate(39.9) == 30.0
    counted.add([VALID] * 60, now=50.0)
    assert counted.rate(50.0) == 2.0
    assert counted.rate(80.0) == 0.0


def test_cached_judgments_do_not_count_as_speed():
    counted = tally(total=20)
    counted.add([CACHED] * 10 + [VALID] * 2, now=4.0)
    assert counted.rate(4.0) == 0.5
    assert counted.line(4.0) == "judged 12/20, 0 invalid, 10 cached, 0.5/s, about 16 s left"


def test_nothing_counted_is_nothing_said():
    assert tally().line(5.0) == ""


def test_a_phase_that_just_began_has_no_rate():
    assert tally(total=9).line(0.0) == "judged 0/9, 0 invalid, 0.0/s"


def test_an_unknown_total_gives_no_time_left():
    counted = tally()
    counted.add([VALID, INVALID], now=1.0)
    assert counted.line(1.0) == "judged 2, 1 invalid, 2.0/s"


def test_a_finished_phase_gives_no_time_left():
    counted = tally(total=2)
    counted.add([VALID, VALID, VALID], now=1.0)
    assert counted.line(1.0) == "judged 3/2, 0 invalid, 3.0/s"


def test_an_invalid_cached_judgment_is_invalid_and_cached():
    counted = tally()
    counted.add([replace(INVALID, cached=True)], now=1.0)
    assert counted.line(1.0) == "judged 1, 1 invalid, 1 cached, 0.0/s"


@pytest.mark.parametrize(
    ("left", "words"),
    [
        ({"calls_left": 0}, "0 calls left"),
        ({"tokens_left": 1_234_567}, "1,234,567 tokens left"),
        ({"usd_left": 3.2}, "3.20 USD left"),
        ({"usd_left": 0.0123}, "0.0123 USD left"),
        ({"calls_left": 5, "usd_left": 1.0, "tokens_left": 7}, "5 calls left, 7 tokens left, 1.00 USD left"),
    ],
)
def test_what_is_left_is_shown_where_a_limit_exists(left, words):
    assert tally(total=9, **left).line(0.0) == f"judged 0/9, 0 invalid, 0.0/s, {words}"


@pytest.mark.parametrize(
    ("total", "words"), [(100, "99 s"), (101, "2 min"), (3_601, "60 min"), (6_001, "1.7 h"), (36_001, "10.0 h")]
)
def test_the_time_left_is_as_coarse_as_it_is_long(total, words):
    counted = tally(total=total)
    counted.add([VALID], now=1.0)
    assert counted.line(1.0).endswith(f", about {words} left")


# --- plain lines ---


def test_a_phase_is_announced_at_once(log):
    log.after(65).phase("judging", 9)
    assert log.lines == ["[01:05] judging"]


def test_plain_lines_come_every_five_seconds_at_most(log):
    log.progress.phase("judging", 100)
    for _ in range(24):
        log.after(0.5).judged([VALID])
    assert log.lines == [
        "[00:00] judging",
        "[00:05]   judged 10/100, 0 invalid, 2.0/s, about 45 s left",
        "[00:10]   judged 20/100, 0 invalid, 2.0/s, about 40 s left",
    ]


def test_plain_output_holds_no_control_codes(log):
    log.progress.phase("judging", 2)
    log.after(6).judged([VALID])
    log.progress.note("done")
    assert "\x1b" not in log.text
    assert "\r" not in log.text


def test_notes_stay_and_come_at_once(log):
    log.progress.phase("judging")
    log.after(1).note("first")
    log.progress.note("second")
    assert log.lines[1:] == ["[00:01]   first", "[00:01]   second"]


def test_what_is_waited_for_stands_beside_the_counts_until_judgments_arrive(log):
    log.progress.phase("judging", 4)
    log.after(5).waiting("the model gives no answer for 5 s")
    log.after(5).judged([])
    log.after(5).judged([VALID])
    assert log.lines[1:] == [
        "[00:05]   judged 0/4, 0 invalid, 0.0/s; the model gives no answer for 5 s",
        "[00:10]   judged 0/4, 0 invalid, 0.0/s; the model gives no answer for 5 s",
        "[00:15]   judged 1/4, 0 invalid, 0.1/s, about 45 s left",
    ]


def test_reflections_are_shown_beside_judgments_as_long_as_one_is_missing(log):
    log.after(1).phase("optimizing", 20)
    log.after(6).reflecting(3, 1)
    log.after(6).judged([VALID])
    log.after(6).waiting("paused")
    log.after(6).reflecting(3, 3)
    first, second, third, last = log.lines[1:]
    assert first.endswith("judged 0/20, 0 invalid, 0.0/s; reflections: 1 of 3 answered")
    assert second.endswith("reflections: 1 of 3 answered")
    assert third.endswith("; reflections: 1 of 3 answered; paused")
    assert last.endswith("; paused") and "reflections" not in last


def test_waiting_without_a_count_is_shown_alone(log):
    log.progress.phase("starting")
    log.after(5).waiting("serving: deploying")
    assert log.lines[1:] == ["[00:05]   serving: deploying"]


def test_what_is_left_of_a_budget_is_shown_with_the_next_line(log):
    log.progress.phase("optimizing", 200)
    log.after(1).spent(calls_left=120, usd_left=2.5)
    log.after(4).judged([VALID] * 80)
    assert log.lines[1:] == [
        "[00:05]   judged 80/200, 0 invalid, 16.0/s, 120 calls left, 2.50 USD left, about 8 s left"
    ]


def test_a_new_phase_begins_with_new_numbers(log):
    log.progress.phase("first", 10)
    log.after(1).judged([INVALID])
    log.progress.spent(calls_left=9)
    log.progress.phase("second", 10)
    log.after(5).judged([VALID])
    assert log.lines == ["[00:00] first", "[00:01] second", "[00:06]   judged 1/10, 0 invalid, 0.2/s, about 45 s left"]


def test_nothing_but_the_title_is_shown_where_nothing_happens(log):
    log.progress.phase("ready")
    log.after(60).judged([])
    log.after(60).spent()
    assert log.lines == ["[00:00] ready"]


def test_a_dumb_terminal_gets_plain_lines():
    shown = Shown(is_terminal=True, environment={"TERM": "dumb"})
    shown.progress.phase("judging", 2)
    shown.after(5).judged([VALID])
    assert shown.lines == ["[00:00] judging", "[00:05]   judged 1/2, 0 invalid, 0.2/s, about 5 s left"]


# --- hostile text ---

HOSTILE = "doc [bold]7[/bold] [/] [link=x] :warning: {x} \x1b[2J\x1b]0;owned\x07\r\nnext\x9b31m \u202egnp \ud800"
TAMED = "doc [bold]7[/bold] [/] [link=x] :warning: {x} \ufffd[2J\ufffd]0;owned\ufffd next\ufffd31m \ufffdgnp \ufffd"


def test_control_characters_are_replaced_and_breaks_become_blanks():
    assert printable(HOSTILE) == TAMED


@pytest.mark.parametrize("is_terminal", [False, True])
def test_texts_reach_the_console_without_markup_emoji_or_control_codes(is_terminal):
    shown = Shown(is_terminal=is_terminal)
    shown.progress.phase(HOSTILE)
    shown.after(6).waiting(HOSTILE)
    shown.progress.note(HOSTILE)
    shown.progress.close()
    assert shown.text.count(TAMED) >= 3
    assert "\x1b[2J" not in shown.text
    assert "\x07" not in shown.text


def test_long_lines_are_not_broken(log):
    log.progress.note("word " * 100)
    assert len(log.lines) == 1

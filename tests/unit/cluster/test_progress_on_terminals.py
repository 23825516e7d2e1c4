"""Progress on a terminal: one live line, erased before what stays; a cursor that is never left hidden."""

import os
import pty
import signal
import subprocess
import sys
import threading

import pytest

from tests.unit.cluster.shown import CACHED, VALID, Shown

ERASE_LINE_ABOVE = "\r\x1b[1A\x1b[2K"
HIDE_CURSOR, SHOW_CURSOR = "\x1b[?25l", "\x1b[?25h"


@pytest.fixture
def terminal():
    """Progress on a terminal."""
    shown = Shown(is_terminal=True)
    yield shown
    shown.progress.close()


# --- the live line ---


def test_the_live_line_shows_the_latest_numbers(terminal):
    terminal.progress.phase("judging", 100)
    terminal.after(1).judged([VALID])
    terminal.after(1).judged([VALID])
    title, live = terminal.screen
    assert title == "[00:00] judging"
    assert live.endswith("[00:02]   judged 2/100, 0 invalid, 1.0/s, about 98 s left")


def test_the_bar_is_as_long_as_the_share_that_is_done(terminal):
    terminal.progress.phase("judging", 4)
    terminal.after(1).judged([VALID])
    assert terminal.screen[1].count("\u2501") == 5  # of 20


def test_without_a_total_there_is_no_bar(terminal):
    terminal.progress.phase("starting")
    terminal.after(1).waiting("serving: deploying")
    assert terminal.screen == ["[00:00] starting", "[00:01]   serving: deploying"]


def test_the_live_line_is_erased_before_a_line_that_stays(terminal):
    terminal.progress.phase("judging", 10)
    terminal.after(1).judged([VALID])
    terminal.progress.note("halfway")
    assert terminal.screen == ["[00:00] judging", "[00:01]   halfway"]
    terminal.after(1).judged([VALID])
    assert "judged 2/10" in terminal.screen[2]
    terminal.progress.phase("next")
    assert terminal.screen == ["[00:00] judging", "[00:01]   halfway", "[00:02] next"]


def test_close_erases_the_live_line(terminal):
    terminal.progress.phase("judging", 10)
    terminal.after(1).judged([VALID])
    terminal.progress.close()
    assert terminal.screen == ["[00:00] judging"]


def test_the_cursor_is_never_left_hidden(terminal):
    terminal.progress.phase("judging", 10)
    for _ in range(3):
        terminal.after(1).judged([VALID])
        assert terminal.text.rindex(SHOW_CURSOR) > terminal.text.rindex(HIDE_CURSOR)


def test_closing_twice_or_before_anything_is_harmless(terminal):
    terminal.progress.close()
    terminal.progress.phase("judging", 10)
    terminal.progress.close()
    assert terminal.lines == ["[00:00] judging"]


def test_after_close_nothing_is_live(terminal):
    terminal.progress.close()
    terminal.progress.phase("judging", 10)
    terminal.after(1).judged([VALID])
    terminal.after(5).judged([VALID])
    assert terminal.lines == ["[00:00] judging", "[00:06]   judged 2/10, 0 invalid, 0.3/s, about 24 s left"]


def test_leaving_the_context_closes():
    shown = Shown(is_terminal=True)
    with pytest.raises(KeyboardInterrupt), shown.progress as progress:
        progress.phase("judging", 10)
        shown.after(1).judged([VALID])
        raise KeyboardInterrupt
    assert shown.screen == ["[00:00] judging"]


def test_the_live_line_is_not_drawn_more_than_ten_times_a_second(terminal):
    terminal.progress.phase("judging", 10_000)
    for _ in range(1_000):
        terminal.after(0.001).judged([VALID])
    assert 9 <= terminal.text.count("judged ") <= 11


def test_what_is_newly_waited_for_is_drawn_at_once(terminal):
    terminal.progress.phase("judging", 10)
    terminal.progress.judged([VALID])
    terminal.progress.waiting("paused")
    assert terminal.screen[1].endswith("; paused")


@pytest.mark.parametrize("width", [20, 40, 80])
def test_the_live_line_stays_one_line_on_a_narrow_terminal(width):
    shown = Shown(is_terminal=True, width=width)
    shown.progress.phase("x", 1_000)
    for _ in range(3):
        shown.after(1).judged([VALID])
        shown.progress.waiting("a model that gives no answer for a very long time \u6f22\u5b57 " * 3)
    assert len(shown.screen) == 2
    assert len(shown.screen[1]) <= width
    shown.progress.close()
    assert shown.screen == ["[00:00] x"]


# --- threads and processes ---


@pytest.mark.parametrize("is_terminal", [False, True])
def test_threads_may_call_at_the_same_time(is_terminal):
    shown = Shown(is_terminal=is_terminal)
    shown.progress.phase("judging", 8_000)

    def study(number):
        for count in range(500):
            shown.progress.judged([VALID, CACHED])
            shown.progress.spent(calls_left=count)
            if count % 100 == 0:
                shown.progress.note(f"study {number} count {count}")
                shown.progress.waiting("waiting")

    studies = [threading.Thread(target=study, args=(number,)) for number in range(8)]
    for one in studies:
        one.start()
    for one in studies:
        one.join()
    shown.after(10).judged([])
    assert "judged 8000/8000, 0 invalid, 4000 cached, 400.0/s" in shown.screen[-1]
    shown.progress.close()
    assert sum("study" in line for line in shown.screen) == 40


ENDINGS = {
    "exception": "raise RuntimeError('broken')",
    "ctrl-c": "os.kill(os.getpid(), signal.SIGINT); time.sleep(5)",
    "killed": "os.kill(os.getpid(), signal.SIGKILL)",
    "exit": "sys.exit(3)",
}


@pytest.mark.parametrize("ending", ENDINGS)
def test_a_terminal_gets_its_cursor_back_however_a_command_ends(ending):
    program = f"""
import os, signal, sys, time
from cluster.progress import Progress
progress = Progress()
progress.phase("judging", 10)
progress.waiting("the model")
{ENDINGS[ending]}
"""
    ours, theirs = pty.openpty()
    with os.fdopen(ours, "rb", buffering=0) as terminal:
        environment = {**os.environ, "TERM": "xterm"}
        process = subprocess.Popen([sys.executable, "-c", program], stderr=theirs, env=environment)
        os.close(theirs)
        written = b""
        while chunk := _read(terminal):
            written += chunk
        process.wait()
    assert (
        process.returncode == {"exception": 1, "ctrl-c": -signal.SIGINT, "killed": -signal.SIGKILL, "exit": 3}[ending]
    )
    text = written.decode()
    assert "the model" in text
    assert text.rindex(SHOW_CURSOR) > text.rindex(HIDE_CURSOR)
    if ending != "killed":
        assert text.endswith(ERASE_LINE_ABOVE)


def _read(terminal):
    try:
        return terminal.read(4_096)
    except OSError:  # Linux says so when the other side is closed
        return b""


def test_stderr_into_a_file_gets_plain_lines_whatever_the_environment_says():
    program = "from cluster.progress import Progress; p = Progress(); p.phase('x [b]', 1); p.waiting('y'); p.close()"
    environment = {**os.environ, "FORCE_COLOR": "1", "TERM": "xterm"}
    done = subprocess.run([sys.executable, "-c", program], stderr=subprocess.PIPE, env=environment, check=True)
    assert done.stderr == b"[00:00] x [b]\n"

"""Signals that end a command: none gets lost, and a second one does not disturb the cleaning up."""

import os
import signal
import subprocess
import sys

import pytest

from cluster.endpoint.signals import Terminated, end_on_sigterm

FREED = """
import os, signal, sys, time
from cluster.endpoint.signals import end_on_signals

class Sends:
    def __del__(self):
        os.kill(os.getpid(), int(sys.argv[1]))
        time.sleep(0.1)

end_on_signals()
try:
    Sends()
    time.sleep(10)
except KeyboardInterrupt as signal:
    print(type(signal).__name__)
"""
CLEANS_UP = """
import os, signal, time
from cluster.endpoint.ray_cluster import connected_ray
from cluster.endpoint.signals import end_on_signals

end_on_signals()
try:
    with connected_ray(num_cpus=1):
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(10)
except KeyboardInterrupt as signal:
    print(type(signal).__name__)
"""


@pytest.fixture
def sigterm():
    """SIGTERM as a command takes it, and as it was afterwards."""
    before = signal.getsignal(signal.SIGTERM)
    end_on_sigterm()
    yield
    signal.signal(signal.SIGTERM, before)


def said_by(program, *words):
    done = subprocess.run([sys.executable, "-c", program, *words], capture_output=True, text=True, timeout=60)
    assert done.stderr == ""
    return done.stdout.strip()


@pytest.mark.usefixtures("sigterm")
def test_sigterm_ends_a_command_by_an_exception_and_a_second_one_does_not_disturb_it():
    cleaned_up = []
    with pytest.raises(Terminated):
        try:
            os.kill(os.getpid(), signal.SIGTERM)
        finally:
            os.kill(os.getpid(), signal.SIGTERM)
            cleaned_up.append("all")
    assert cleaned_up == ["all"]


@pytest.mark.parametrize(("number", "name"), [(signal.SIGINT, "KeyboardInterrupt"), (signal.SIGTERM, "Terminated")])
def test_a_signal_that_comes_while_an_object_is_freed_is_not_lost(number, name):
    assert said_by(FREED, str(int(number))) == name


@pytest.mark.ray
def test_sigterm_ends_a_command_by_an_exception_once_ray_is_started():
    assert said_by(CLEANS_UP) == "Terminated"

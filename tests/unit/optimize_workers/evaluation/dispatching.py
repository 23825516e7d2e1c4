"""What the tests of the dispatcher share: a clock that a test moves, waves, and what becomes of calls."""

from judge_serve.judging.errors import UnreachableError
from judge_serve.judging.judge_call import JudgeCall
from optimize_workers.evaluation.waves import Wave
from tests.builders import JUDGE, make_examples, make_judgment

DOWN = UnreachableError("cannot reach the model")


class Clock:
    """Time that stands still until it is moved."""

    def __init__(self):
        self.now = 1_000.0

    def __call__(self):
        return self.now


def open_wave(dispatcher, number=1, size=4, judges=(JUDGE,)):
    calls = [JudgeCall(judge, example.item) for example in make_examples(size) for judge in judges]
    wave = Wave(number, calls)
    dispatcher.open(wave)
    return wave


def fail(dispatcher, calls, error=DOWN):
    for call in calls:
        dispatcher.failed(call, error, judged_when_sent=dispatcher.num_judged)


def judge(dispatcher, calls):
    dispatcher.judged(calls, [make_judgment(3) for _ in calls])


def arrivals(wave):
    arrived = []
    while not wave.arrivals.empty():
        arrived.append(wave.arrivals.get())
    return arrived


def error_of(wave):
    (arrived,) = [one for one in arrivals(wave) if one.error]
    return arrived.error

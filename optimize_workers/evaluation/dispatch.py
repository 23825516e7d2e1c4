"""Dispatch: which judge call goes next, what becomes of failed ones, when to pause and when to give up.

Waves take turns, so that several studies share a pool fairly. Holds no Ray and does no waiting: `workers.WorkerPool`
asks it and carries out.

An engine that is down and an item that it cannot judge look alike from one failed call. So a failure is held against a
call only if something else was answered since it was sent; and where nothing above suspicion is left to be asked, the
pool asks a *control*: the same judge with a harmless pair, recorded and told nowhere. If that is answered, the engine
works.
"""

from __future__ import annotations

import random
import time
from collections import deque
from collections.abc import Callable, Sequence

from judge_serve.judging.errors import (
    BadRequestError,
    EngineError,
    MalformedAnswerError,
    MisconfiguredError,
    OutageError,
    RateLimitedError,
    TransientError,
    WorkersFailedError,
)
from judge_serve.judging.judge import Judge
from judge_serve.judging.judge_call import JudgeCall
from judge_serve.judging.judge_pair import not_judged
from judge_serve.judging.judgment import Judgment
from judge_serve.judging.retrying import RetryPolicy
from judge_serve.judging.task import Item
from optimize_workers.evaluation.waves import Arrived, CallId, Trouble, Wave

MAX_FAILURES = 4  # times one call may fail while others are answered
MAX_RATE_LIMITS = 8  # times a call that is left alone may meet a rate limit; the pauses between double to 2 min in all
MAX_REFUSALS = 1  # the same for an error that no retry mends, such as a bad request
MAX_DEATHS = 3  # times a worker may die with one call while nothing of its wave is judged
DEATHS_TOGETHER = 1  # after so many in a row a call goes alone
LOOK_EVERY_S = 0.5  # how often the state of workers and outages is looked at
WORKER_START_S = 60.0  # how long a dead worker may take to come back, whatever the policy says about outages
FIRST_PROBE_S = 0.5  # pause before the first probe of an outage; each further one doubles it
FIRST_COMPLETION_S = 30.0  # how long an address may answer with anything but completions before it gave the first one
CONTROL = CallId(0, 0)
CONTROL_ITEM = Item("weather in spring", "In spring the days get longer and warmer.", "control", "control")


class Dispatcher:
    """The waves of a pool and the state of its engine; used from one thread.

    Attributes:
        num_judged: calls that the engine answered, controls included.
    """

    def __init__(self, retry: RetryPolicy, clock: Callable[[], float] = time.monotonic) -> None:
        self._retry = retry
        self._clock = clock
        self.waves: dict[int, Wave] = {}
        self._turns: deque[Wave] = deque()
        self.num_judged = 0
        self.num_under_way = 0
        self._control: JudgeCall | None = None
        self._judge_that_works: Judge | None = None
        self._probe: CallId | None = None  # under way
        self._outage_started: float | None = None  # no answer since
        self._outage_error: TransientError | None = None
        self._is_in_doubt = False  # whether the engine answers anything; only a control can tell
        self._num_control_deaths = 0
        self._no_worker_since: float | None = None
        self._paused_until = 0.0
        self._probe_s = FIRST_PROBE_S

    @property
    def num_waiting(self) -> int:
        """Judge calls that nobody carries out yet."""
        return sum(wave.num_waiting for wave in self._turns)

    def open(self, wave: Wave) -> None:
        """Take in a wave."""
        self.waves[wave.number] = wave
        self._turns.append(wave)

    def close(self, wave: Wave) -> None:
        """Forget a wave; what is under way for it is ignored when it comes back."""
        if self.waves.pop(wave.number, None):
            self._turns.remove(wave)
        if not self.waves:
            self._is_in_doubt = False

    def calls_of(self, ids: Sequence[CallId]) -> list[tuple[CallId, JudgeCall]]:
        """What is asked under ids that were taken."""
        if CONTROL not in ids:
            return [(id, self.waves[id.wave].calls[id.place]) for id in ids]
        assert self._control is not None, "set when it is taken"
        return [(CONTROL, self._control)]  # a probe is taken alone

    def left_s_of(self, ids: Sequence[CallId]) -> dict[CallId, float]:
        """What is left of the deadline of those calls that spent some of it, each having one over all attempts."""
        if not any(wave.troubles for wave in self._turns):
            return {}
        spent = [(id, trouble.spent_s) for id in ids if id != CONTROL and (trouble := self._trouble_of(id))]
        return {id: self._retry.deadline_s - spent_s for id, spent_s in spent if spent_s}

    def _trouble_of(self, id: CallId) -> Trouble | None:
        troubles = self.waves[id.wave].troubles
        return troubles.get(id.place) if troubles else None

    def take(self, most: int) -> list[CallId]:
        """The next calls, an equal part from every wave; none in a pause, a single probe in an outage."""
        if self._clock() < self._paused_until:
            return []
        if self._outage_started is not None or self._is_in_doubt:
            return self._take_probe() if most > 0 and self._probe is None else []
        taken: list[CallId] = []
        while len(taken) < most:
            hungry = [wave for wave in self._turns if wave.may_go_on]
            if not hungry:
                break
            part = -(-(most - len(taken)) // len(hungry))
            for wave in hungry[: most - len(taken)]:
                taken += wave.take(min(part, most - len(taken)))
                self._turns.remove(wave)  # whose turn is over goes last
                self._turns.append(wave)
        self.num_under_way += len(taken)
        return taken

    def _take_probe(self) -> list[CallId]:
        """A call that is above suspicion; a control where there is none, or where only a control can tell."""
        fresh = None if self._is_in_doubt else next((wave for wave in self._turns if wave.has_probe), None)
        hungry = next((wave for wave in self._turns if wave.num_waiting), None)
        if fresh is not None:
            (self._probe,) = fresh.take(1)
        elif hungry is not None:
            place = hungry.waiting[0] if hungry.waiting else hungry.alone[0]
            # a judge that works tells of the engine; that of the call, whether requests of this form are taken at all
            judge = None if self._is_in_doubt else self._judge_that_works
            self._control = JudgeCall(judge or hungry.calls[place].judge, CONTROL_ITEM)
            self._probe = CONTROL
        else:
            return []
        self.num_under_way += 1
        return [self._probe]

    def judged(self, ids: Sequence[CallId], judgments: Sequence[Judgment]) -> None:
        """Judgments arrived: the engine works."""
        self.num_under_way -= len(ids)
        self.num_judged += len(ids)
        self._end_outage()
        by_wave: dict[int, Arrived] = {}
        for call, judgment in zip(ids, judgments, strict=True):
            arrived = by_wave.setdefault(call.wave, Arrived([], []))
            arrived.places.append(call.place)
            arrived.judgments.append(judgment)
        for number, arrived in by_wave.items():
            if number in self.waves:
                wave = self.waves[number]
                wave.num_judged += len(arrived.places)
                wave.num_under_way -= len(arrived.places)
                wave.arrivals.put(arrived)
                self._judge_that_works = wave.calls[arrived.places[0]].judge

    def failed(self, call: CallId, error: Exception, judged_when_sent: int, spent_s: float = 0.0) -> None:
        """A call failed: it is tried again, not judged where it is the call's own fault again and again.

        What no item can be to blame for ends the wave at once.

        Args:
            call: what failed.
            error: why.
            judged_when_sent: `num_judged` at the time the call was sent.
            spent_s: how long a worker was at it.
        """
        self.num_under_way -= 1
        if call == self._probe:
            self._probe = None
        if call == CONTROL:
            self._control_failed(error)
            return
        wave = self.waves.get(call.wave)
        if wave is None:
            return
        wave.num_under_way -= 1
        if not _may_be_the_items(error):
            wave.fail(error)
            return
        trouble = wave.troubles.setdefault(call.place, Trouble(judged_when_sent))
        trouble.tries += 1
        is_its_own = self.num_judged > trouble.answered_before
        trouble.answered_before = self.num_judged
        is_transient = isinstance(error, TransientError)
        if is_its_own:
            trouble.spent_s += spent_s
            is_too_late = trouble.spent_s >= self._retry.deadline_s
            if isinstance(error, RateLimitedError):  # nobody's fault while others are asked, too
                error = self._put_off(trouble, error, is_alone=not (wave.num_waiting or wave.num_under_way))
            else:
                trouble.failures += 1
            is_too_often = trouble.failures > (MAX_FAILURES if is_transient else MAX_REFUSALS)
            if is_too_late or is_too_often or trouble.rate_limits > MAX_RATE_LIMITS:
                self._give_up_on(call, wave, f"{_words(error)} (while others were answered)")
                return
        wave.waiting.append(call.place)
        if isinstance(error, TransientError):
            self._pause(error)
        elif not is_its_own:
            self._is_in_doubt = True

    def _put_off(self, trouble: Trouble, error: RateLimitedError, *, is_alone: bool) -> RateLimitedError:
        """A rate limit of a call that is alone is waited out longer each time: a request may be too large for one."""
        if not is_alone:
            return error
        trouble.rate_limits += 1
        pause_s = FIRST_PROBE_S * 2 ** (trouble.rate_limits - 1)
        return RateLimitedError(str(error), retry_after_s=max(error.retry_after_s, pause_s))

    def lost(self, calls: Sequence[CallId]) -> None:
        """A worker died with these calls; they are sent again, after the others of their wave.

        Calls that kill their workers are thereby left over, and are known by the deaths between which nothing of
        their wave was judged. From the second one on they go alone, so that no other dies with them.
        """
        self.num_under_way -= len(calls)
        for call in calls:
            if call == self._probe:
                self._probe = None
            if call == CONTROL:
                self._control_lost()
                continue
            wave = self.waves.get(call.wave)
            if wave is None:
                continue
            wave.num_under_way -= 1
            trouble = wave.troubles.setdefault(call.place, Trouble(self.num_judged))
            if trouble.judged_then != wave.num_judged:
                trouble.deaths, trouble.answered_at_first_death = 0, self.num_judged
            trouble.deaths, trouble.judged_then = trouble.deaths + 1, wave.num_judged
            if trouble.deaths > MAX_DEATHS and self.num_judged > trouble.answered_at_first_death:
                said = f"workers died {trouble.deaths} times with this call; see Ray's logs for why"
                self._give_up_on(call, wave, said)
            elif trouble.deaths > DEATHS_TOGETHER:
                wave.alone.append(call.place)
                self._is_in_doubt = True  # whether workers live at all
            else:
                wave.waiting.append(call.place)

    def note_workers(self, are_up: bool) -> None:
        """Whether any worker is running."""
        if are_up:
            self._no_worker_since = None
        elif self._no_worker_since is None:
            self._no_worker_since = self._clock()

    def give_up_if_too_long(self) -> None:
        """End all waves if the outage outlasts the policy, or if no worker comes back."""
        now = self._clock()
        error: EngineError | None = None
        if self._outage_started is not None and now - self._outage_started >= self._patience_s:
            reason = f"no answer for {now - self._outage_started:.0f} s: {self._outage_error}"
            if self._never_completed:
                reason += "; it never gave a completion, check the address and the model name after '#'"
            error = OutageError(reason)
        patience_s = max(self._retry.max_outage_s, WORKER_START_S)
        if self._no_worker_since is not None and now - self._no_worker_since >= patience_s:
            lasted_s = now - self._no_worker_since
            error = WorkersFailedError(f"no worker is running for {lasted_s:.0f} s; see the Ray cluster's state")
        if error is not None:
            self._no_worker_since = None
            self._fail_all(error)

    def wait_s(self) -> float:
        """Seconds until something has to be looked at though nothing happened."""
        left_s = self._paused_until - self._clock()
        return left_s if left_s > 0 else LOOK_EVERY_S

    def status(self) -> str | None:
        """What is waited for in an outage."""
        now = self._clock()
        if self._no_worker_since is not None:
            return f"paused: no worker is running for {now - self._no_worker_since:.0f} s; Ray starts them again"
        if self._outage_started is None:
            return None
        return (
            f"paused: no answer for {now - self._outage_started:.0f} s ({self._outage_error}); trying again, "
            f"giving up after {self._patience_s:.0f} s"
        )

    @property
    def _never_completed(self) -> bool:
        """Whether the engine answers, but never gave a completion: the address is likely another service's."""
        return not self.num_judged and isinstance(self._outage_error, MalformedAnswerError)

    @property
    def _patience_s(self) -> float:
        longest_s = self._retry.max_outage_s
        return min(FIRST_COMPLETION_S, longest_s) if self._never_completed else longest_s

    def _give_up_on(self, call: CallId, wave: Wave, cause: str) -> None:
        """Tell the caller that a call was not judged."""
        wave.arrivals.put(Arrived([call.place], [not_judged(wave.calls[call.place], cause)]))

    def _control_failed(self, error: Exception) -> None:
        """Not even a harmless pair is judged: wait, or end all waves where no waiting helps."""
        if isinstance(error, TransientError):
            self._pause(error)
        else:
            self._fail_all(error)

    def _control_lost(self) -> None:
        self._num_control_deaths += 1
        if self._num_control_deaths >= MAX_DEATHS:
            self._fail_all(WorkersFailedError("workers died again and again, whatever they judged; see Ray's logs"))

    def _fail_all(self, error: Exception) -> None:
        for wave in self.waves.values():
            wave.fail(error)
        self._end_outage()
        self._paused_until = 0.0

    def _end_outage(self) -> None:
        self._outage_started, self._is_in_doubt, self._probe = None, False, None
        self._probe_s, self._num_control_deaths = FIRST_PROBE_S, 0

    def _pause(self, error: TransientError) -> None:
        if self._outage_started is None:
            self._outage_started = self._clock()
        self._outage_error = error
        asked_s = error.retry_after_s
        if self._clock() >= self._paused_until:  # the first of many that fail together doubles the pause, not each
            jittered_s = self._probe_s * random.uniform(0.5, 1.0)
            self._probe_s = min(2 * self._probe_s, max(self._retry.longest_wait_s, FIRST_PROBE_S))
            self._paused_until = self._clock() + max(asked_s, jittered_s)
        else:
            self._paused_until = max(self._paused_until, self._clock() + asked_s)


def _may_be_the_items(error: Exception) -> bool:
    """Whether an item alone can be the cause: not of a wrong key, an empty account, an engine without probabilities."""
    if isinstance(error, MisconfiguredError):
        return error.may_be_the_items
    return isinstance(error, TransientError | BadRequestError) or not isinstance(error, EngineError)


def _words(error: Exception) -> str:
    return str(error) if isinstance(error, EngineError) else f"unexpected {type(error).__name__}: {error}"

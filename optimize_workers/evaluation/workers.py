"""Workers: Ray actors that hold an engine and judge; the pool that keeps their slots busy.

A worker carries out at most `slots` judge calls at once and holds a few more in line, so that no slot waits for the
pool. Calls go to it and judgments come back in exchanges, each of which takes along what is finished by then: few
under a slow model, hundreds under a fast one. Whatever a dead worker held is sent again; nothing arrives twice.
"""

from __future__ import annotations

import asyncio
import logging
import math
import os
import pickle
import threading
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from functools import partial
from queue import Empty, SimpleQueue
from time import monotonic
from typing import Any, NamedTuple

import ray
from ray.exceptions import ActorDiedError, RayError, RayTaskError

from judge_serve.judging.engine import Engine
from judge_serve.judging.errors import EngineError, WorkersFailedError
from judge_serve.judging.judge_call import JudgeCall
from judge_serve.judging.judge_pair import judge_pair
from judge_serve.judging.judgment import Judgment
from judge_serve.judging.retrying import RetryPolicy
from optimize_workers.evaluation.dispatch import LOOK_EVERY_S, Dispatcher
from optimize_workers.evaluation.kept_warnings import KeptWarnings
from optimize_workers.evaluation.layer import OnDone
from optimize_workers.evaluation.pacing import Pace, PacedEngine
from optimize_workers.evaluation.waves import CallId, WaitingCallers, Wave

logger = logging.getLogger(__name__)

SLOTS_OF_A_WORKER = 128  # judge calls that one process carries out at once without becoming the bottleneck
HEARTBEAT_S = 5.0  # silence after which progress is shown all the same
LINGER_S = 0.02  # an exchange waits this long for more judgments while some are under way
MIN_AHEAD, MAX_AHEAD = 2, 1_024  # calls that wait in a worker for a free slot
OnWait = Callable[[str], None]


class Sent(NamedTuple):
    """What a worker is sent: calls, and what is left of the deadline of those that spent some of it before."""

    calls: list[tuple[CallId, JudgeCall]]
    left_s: dict[CallId, float]


class Failed(NamedTuple):
    """A call that was not answered: why, and how long the worker was at it."""

    error: Exception
    spent_s: float


Outcome = Judgment | Failed


class Exchanged(NamedTuple):
    """What a worker gives back: a name of its life, its process id, what is finished, what it warns of and learned."""

    life: str
    pid: int
    finished: list[tuple[CallId, Outcome]]
    warnings: list[str]
    learned: dict[str, Any]


@ray.remote(num_cpus=0.1, max_restarts=-1, max_concurrency=8, scheduling_strategy="SPREAD")
class JudgeWorker:
    """Judges items with the engine that `connect` makes in this process, at a pace between two numbers of slots."""

    def __init__(self, connect: Callable[[], Engine], retry: RetryPolicy, least_slots: int, slots: int) -> None:
        self._connect = connect
        self._retry = retry
        self._pace = Pace(least_slots, slots)
        self._engine: PacedEngine | None = None
        self._life = os.urandom(8).hex()  # a restarted worker has forgotten what it held
        self._waiting: deque[tuple[CallId, JudgeCall]] = deque()
        self._left_s: dict[CallId, float] = {}
        self._busy: dict[asyncio.Task[None], int | None] = {}  # slots at work, by wave
        self._finished: list[tuple[CallId, Outcome]] = []
        self._news = asyncio.Event()
        self._last_exchange = 0
        self._warnings = KeptWarnings()
        logging.getLogger("judge_serve").addHandler(self._warnings)

    async def exchange(self, packed: bytes, wait_s: float) -> bytes:
        """Take calls, wait until something is finished, return it.

        Args:
            packed: what to judge, `Sent`; calls of one judge share one object, sent once.
            wait_s: bound of the wait; a later exchange ends it as well.

        Returns: `Exchanged`, packed.
        """
        calls, left_s = pickle.loads(packed)
        self._waiting.extend(calls)
        self._left_s |= left_s
        self._fill_slots()
        self._last_exchange += 1
        mine = self._last_exchange
        self._news.set()
        deadline = monotonic() + wait_s
        while not self._finished and mine == self._last_exchange and monotonic() < deadline:
            self._news.clear()
            try:
                await asyncio.wait_for(self._news.wait(), max(0.0, deadline - monotonic()))
            except TimeoutError:
                break
        if self._busy and mine == self._last_exchange:
            await asyncio.sleep(LINGER_S)
        finished, self._finished = self._finished, []
        learned = self._engine.learned if self._engine else {}
        return _packed(Exchanged(self._life, os.getpid(), finished, self._warnings.take(), learned))

    async def drop(self, wave: int) -> None:
        """Stop judging for a wave that nobody waits for any more."""
        self._waiting = deque(entry for entry in self._waiting if entry[0].wave != wave)
        for task in [task for task, busy_for in self._busy.items() if busy_for == wave]:
            task.cancel()

    def _fill_slots(self) -> None:
        for _ in range(min(len(self._waiting), self._pace.limit - len(self._busy))):
            task = asyncio.get_running_loop().create_task(self._serve())
            self._busy[task] = None
            task.add_done_callback(self._free_slot)

    def _free_slot(self, task: asyncio.Task[None]) -> None:
        del self._busy[task]
        self._fill_slots()  # a dropped wave may leave calls of others waiting

    async def _serve(self) -> None:
        """One slot: judge what waits until nothing does."""
        me = asyncio.current_task()
        assert me is not None
        while self._waiting and len(self._busy) <= self._pace.limit:
            id, call = self._waiting.popleft()
            self._busy[me] = id.wave
            outcome: Outcome
            started = monotonic()
            try:
                if self._engine is None:
                    self._engine = PacedEngine(self._connect(), self._pace)
                outcome = await judge_pair(call, self._engine, retry=self._retry_of(id))
            except Exception as error:  # an actor's boundary: the dispatcher decides
                outcome = Failed(_portable(error), monotonic() - started)
            self._finished.append((id, outcome))
            self._news.set()
            self._fill_slots()  # the pace may allow more by now

    def _retry_of(self, id: CallId) -> RetryPolicy:
        left_s = self._left_s.pop(id, None)
        return self._retry if left_s is None else self._retry.model_copy(update={"deadline_s": left_s})


class _Worker:
    """What the pool knows of a worker."""

    def __init__(self, actor: Any, slots: int) -> None:
        self.actor = actor
        self.slots = slots
        self.ahead = MIN_AHEAD
        self.assigned: dict[CallId, int] = {}  # calls it holds -> judgments of the pool when they were sent
        self.num_exchanges = 0
        self.life: str | None = None
        self.is_up = True
        self.look_at = 0.0
        self.pid = 0
        self.learned: dict[str, Any] = {}

    @property
    def room(self) -> int:
        """Calls that it may be sent now."""
        return self.slots + self.ahead - len(self.assigned) if self.is_up and self.num_exchanges < 2 else 0


class WorkerPool:
    """Workers of one engine, with at most `max_calls_in_flight` judge calls under way at once.

    Any number of threads may call `judge`; their waves share the slots evenly.

    Args:
        connect: makes a worker's engine; is sent to the worker.
        num_workers: processes; by default enough for the slots, at least two.
        max_calls_in_flight: slots of all workers together.
        least_calls_in_flight: if given, fewer are under way where the engine bears no more, but not fewer than this.
        retry: patience with a failing engine.
        on_wait: told what is waited for in an outage, by whoever waits.
    """

    def __init__(
        self,
        connect: Callable[[], Engine],
        *,
        num_workers: int | None = None,
        max_calls_in_flight: int = 32,
        least_calls_in_flight: int | None = None,
        retry: RetryPolicy | None = None,
        on_wait: OnWait | None = None,
    ) -> None:
        self._on_wait = on_wait
        policy = retry or RetryPolicy()
        num = min(num_workers or max(2, math.ceil(max_calls_in_flight / SLOTS_OF_A_WORKER)), max_calls_in_flight)
        shares = [max_calls_in_flight // num + (n < max_calls_in_flight % num) for n in range(num)]
        least = max(1, least_calls_in_flight // num) if least_calls_in_flight else None
        self._workers = [_Worker(JudgeWorker.remote(connect, policy, least or slots, slots), slots) for slots in shares]  # type: ignore[attr-defined]
        self._dispatcher = Dispatcher(policy)
        self._events: SimpleQueue[Callable[[], None]] = SimpleQueue()
        self._callers = WaitingCallers()
        self._warned: set[str] = set()
        self._is_stopped = False
        self._thread = threading.Thread(target=self._run, name="worker-pool", daemon=True)
        self._thread.start()

    @property
    def worker_pids(self) -> list[int]:
        """Process ids of the workers that have answered so far."""
        return [worker.pid for worker in self._workers if worker.pid]

    @property
    def learned(self) -> list[dict[str, Any]]:
        """What the engines of the workers found out by now, see their `learned`."""
        return [worker.learned for worker in self._workers if worker.learned]

    def judge(self, calls: Sequence[JudgeCall], on_done: OnDone | None = None) -> list[Judgment]:
        """See `Layer.judge`; calls of one judge are sent together, so that the engine's prefix cache works.

        Raises:
            EngineError: the engine takes no calls, or gave no answer for longer than the policy allows; what is
                under way is dropped. A call that alone is not answered is told as a judgment that says so.
        """
        if not calls:
            return []
        wave = self._callers.enter(calls)
        judgments: list[Judgment | None] = [None] * len(calls)
        num_left = len(calls)
        self._events.put(partial(self._dispatcher.open, wave))
        try:
            while num_left:
                try:
                    arrived = wave.arrivals.get(timeout=HEARTBEAT_S)
                except Empty:
                    status = self._dispatcher.status()
                    if status and self._on_wait:
                        self._on_wait(status)
                    elif on_done:
                        on_done((), ())
                    continue
                if arrived.error is not None:
                    raise arrived.error
                for place, judgment in zip(arrived.places, arrived.judgments, strict=True):
                    judgments[place] = judgment
                num_left -= len(arrived.places)
                if on_done:
                    on_done(arrived.places, arrived.judgments)
        finally:
            self._callers.leave(wave)
            self._events.put(partial(self._close_wave, wave))
        return [judgment for judgment in judgments if judgment is not None]

    def close(self) -> None:
        """Stop the workers; waves that somebody waits for end with an error."""
        self._callers.end(RuntimeError("the pool was closed"))
        if self._is_stopped:
            return
        self._is_stopped = True
        self._events.put(lambda: None)
        self._thread.join(timeout=10.0)
        for worker in self._workers:
            ray.kill(worker.actor)

    def _run(self) -> None:
        """The pool's thread: all that happens is an event, after each the workers are given what they have room for."""
        try:
            while not self._callers.has_ended:
                try:
                    self._events.get(timeout=min(LOOK_EVERY_S, self._dispatcher.wait_s()) + 0.001)()
                    while not self._events.empty():
                        self._events.get()()
                except Empty:
                    pass
                self._dispatcher.give_up_if_too_long()
                self._fill_workers()
        except Exception as error:  # the thread's boundary: whoever waits is told, also whose wave is not open yet
            logger.exception("the worker pool failed")
            self._callers.end(error)
        finally:
            self._callers.end(RuntimeError("the pool's thread ended"))

    def _fill_workers(self) -> None:
        self._look_after_dead_workers()
        for num_left, worker in zip(
            range(len(self._workers), 0, -1), sorted(self._workers, key=lambda w: -w.room), strict=True
        ):
            share = -(-self._dispatcher.num_waiting // num_left)  # a small wave is spread over the workers
            calls = self._dispatcher.take(min(worker.room, share)) if worker.room > 0 and share else []
            if calls or (worker.is_up and worker.assigned and not worker.num_exchanges):
                self._exchange(worker, calls)

    def _exchange(self, worker: _Worker, calls: Sequence[CallId]) -> None:
        for id in calls:
            worker.assigned[id] = self._dispatcher.num_judged
        worker.num_exchanges += 1
        dispatcher = self._dispatcher
        sent = Sent(dispatcher.calls_of(calls), dispatcher.left_s_of(calls))
        future: Future[Any] = worker.actor.exchange.remote(_packed(sent), HEARTBEAT_S).future()
        future.add_done_callback(lambda done: self._events.put(partial(self._returned, worker, done)))

    def _returned(self, worker: _Worker, done: Future[Any]) -> None:
        worker.num_exchanges -= 1
        try:
            life, pid, finished, warnings, learned = pickle.loads(done.result())
        except RayTaskError:
            raise
        except ActorDiedError as error:  # for good: it could not be made, or somebody killed it for ever
            self._lose(worker, type(error).__name__)
            self._workers.remove(worker)
            if not self._workers:
                raise WorkersFailedError(f"the workers cannot run: {_last_line(error)}") from error
            return
        except RayError as error:
            self._lose(worker, type(error).__name__)
            return
        if worker.life not in (None, life):
            self._lose(worker, "restarted")
        worker.life, worker.pid, worker.is_up = life, pid, True
        worker.learned = learned or worker.learned
        for text in dict.fromkeys(warnings):  # each worker finds the same out
            if text not in self._warned:
                self._warned.add(text)
                logger.warning("%s", text)
        arrived = [(call, outcome) for call, outcome in finished if call in worker.assigned]
        judged = [(call, outcome) for call, outcome in arrived if isinstance(outcome, Judgment)]
        if judged:
            self._dispatcher.judged([call for call, _ in judged], [judgment for _, judgment in judged])
        for call, outcome in arrived:
            sent_at = worker.assigned.pop(call)
            if not isinstance(outcome, Judgment):
                self._dispatcher.failed(call, outcome.error, sent_at, outcome.spent_s)
        worker.ahead = min(max(2 * len(arrived), int(0.8 * worker.ahead), MIN_AHEAD), MAX_AHEAD)

    def _lose(self, worker: _Worker, reason: str) -> None:
        """A worker died: what it held is sent again."""
        logger.warning("worker died, sending its calls again reason=%s calls=%d", reason, len(worker.assigned))
        lost, worker.assigned = list(worker.assigned), {}
        worker.life, worker.is_up, worker.ahead = None, False, MIN_AHEAD
        worker.look_at = monotonic() + LOOK_EVERY_S
        self._dispatcher.lost(lost)

    def _look_after_dead_workers(self) -> None:
        self._dispatcher.note_workers(any(worker.is_up for worker in self._workers))
        for worker in self._workers:
            if not worker.is_up and not worker.num_exchanges and monotonic() >= worker.look_at:
                worker.look_at = monotonic() + LOOK_EVERY_S
                self._exchange(worker, ())

    def _close_wave(self, wave: Wave) -> None:
        self._dispatcher.close(wave)
        for worker in self._workers:
            if any(call.wave == wave.number for call in worker.assigned):
                worker.actor.drop.remote(wave.number)
                dropped = [call for call in worker.assigned if call.wave == wave.number]
                for call in dropped:
                    del worker.assigned[call]
                self._dispatcher.lost(dropped)


def _last_line(error: Exception) -> str:
    return ([line.strip() for line in str(error).splitlines() if line.strip()] or [type(error).__name__])[-1]


def _packed(value: Sent | Exchanged) -> bytes:
    """An exchange on its way to or from a worker; Ray's own pickling asks a Python function about each object."""
    return pickle.dumps(value, pickle.HIGHEST_PROTOCOL)


def _portable(error: Exception) -> Exception:
    """The error itself where it can be sent to another process, what it says otherwise."""
    if isinstance(error, EngineError):
        return error
    try:
        copy = pickle.loads(pickle.dumps(error))
    except Exception:  # exceptions of libraries may refuse either way
        return RuntimeError(f"{type(error).__name__}: {error}")
    return copy if isinstance(copy, Exception) else RuntimeError(repr(error))

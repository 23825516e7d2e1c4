"""What an arm of an optimizer benchmark did, and how long that takes when nothing but the models takes time."""

from __future__ import annotations

import heapq
import threading
from collections import deque
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, NamedTuple


class Progress(NamedTuple):
    """A candidate became known on the whole validation set after so many judge calls; NMSE in [0, 100]."""

    judge_calls: int
    val_nmse: float


class Job(NamedTuple):
    """Requests sent together and waited for together.

    Attributes:
        start, end: when, on any clock; a job depends on all jobs that ended before it started.
        latencies_s: time of each request in a slot.
        in_slots: whether the requests take slots of the judging engine; reflections do not.
    """

    start: float
    end: float
    latencies_s: Sequence[float]
    in_slots: bool


@dataclass(frozen=True)
class ArmResult:
    """One run of one arm.

    Attributes:
        judge_calls: requests that reached the judging engine, whatever the library counts.
        reflections: requests that reached the reflection model.
        wall_s: from the start of the search to its end, pools excluded.
        ceiling_s: the same with latencies only, see `replay`; 0 without latency.
        progress: candidates in the order in which they were accepted.
        baseline_val_nmse, baseline_test_nmse: before the search.
        test_nmse: of the returned program.
        rules: of the returned program.
        library_calls: what the library counted.
        demonstrations: number of the returned program's.
        distinct_calls: judge calls with different prompts; 0 where nobody counted.
        stages_s: seconds of each stage of a search that has stages, from when it could begin to its end.
        stage_ceilings_s: the same with latencies only, each stage on its own.
    """

    arm: str
    seed: int
    judge_calls: int
    reflections: int
    wall_s: float
    ceiling_s: float
    progress: tuple[Progress, ...]
    baseline_val_nmse: float
    baseline_test_nmse: float
    test_nmse: float
    rules: tuple[str, ...]
    library_calls: int
    demonstrations: int = 0
    distinct_calls: int = 0
    stages_s: dict[str, float] = field(default_factory=dict)
    stage_ceilings_s: dict[str, float] = field(default_factory=dict)

    def as_dict(self) -> dict[str, Any]:
        """JSON form."""
        return asdict(self) | {"progress": [list(point) for point in self.progress]}

    @property
    def gain(self) -> float:
        """How far the validation NMSE fell from the baseline's."""
        return self.baseline_val_nmse - min(point.val_nmse for point in self.progress)

    def calls_to(self, val_nmse: float, budget: int) -> int:
        """Judge calls until a candidate was at or below a validation NMSE; the budget if none was."""
        reached = (point.judge_calls for point in self.progress if point.val_nmse <= val_nmse)
        return min(next(reached, budget), budget)

    def wall_s_for(self, budget: int) -> float:
        """Wall clock per budget: libraries overshoot theirs, which must not count against them."""
        return self.wall_s * budget / self.judge_calls


class Recorder:
    """Counts the requests of a library that waits for each batch before the next; any thread may tell it.

    Whoever knows of a boundary between two batches calls `end_batch`; a change from judging to reflecting is one too.
    """

    def __init__(self) -> None:
        self.judge_calls = 0
        self.reflections = 0
        self._batches: list[tuple[bool, list[float]]] = []
        self._is_open = False
        self._lock = threading.Lock()

    def judged(self, latency_s: float) -> None:
        """A judge call reached the engine."""
        with self._lock:
            self.judge_calls += 1
            self._add(latency_s, in_slots=True)

    def reflected(self, latency_s: float) -> None:
        """A prompt reached the reflection model."""
        with self._lock:
            self.reflections += 1
            self._add(latency_s, in_slots=False)

    def end_batch(self) -> None:
        """What comes next waits for all that came before."""
        with self._lock:
            self._is_open = False

    def jobs(self, *, reflects_at_once: bool) -> list[Job]:
        """The batches, one after the other; those of reflections are taken apart where the library does."""
        jobs: list[Job] = []
        for in_slots, latencies in self._batches:
            parts = [latencies] if in_slots or reflects_at_once else [[latency] for latency in latencies]
            jobs += [Job(len(jobs) + n, len(jobs) + n + 1, part, in_slots) for n, part in enumerate(parts)]
        return jobs

    def _add(self, latency_s: float, *, in_slots: bool) -> None:
        if not self._is_open or self._batches[-1][0] is not in_slots:
            self._batches.append((in_slots, []))
            self._is_open = True
        self._batches[-1][1].append(latency_s)


def replay(jobs: Sequence[Job], slots: int) -> float:
    """Seconds that jobs take if nothing but their requests takes time.

    A job starts when all jobs that had really ended before it started have ended; jobs share the slots in turns.
    """
    order = sorted(jobs, key=lambda job: job.start)
    ends = sorted(range(len(order)), key=lambda index: order[index].end)
    needs = [sum(order[other].end <= job.start for other in ends) for job in order]  # a prefix of `ends`
    left = [len(job.latencies_s) for job in order]
    turns: deque[tuple[int, deque[float]]] = deque()
    running: list[tuple[float, int]] = []
    now, free, started, num_ended = 0.0, slots, 0, 0
    while True:
        while num_ended < len(ends) and not left[ends[num_ended]]:
            num_ended += 1
        while started < len(order) and needs[started] <= num_ended:
            job = order[started]
            if job.in_slots:
                turns.append((started, deque(job.latencies_s)))
            else:
                for seconds in job.latencies_s:
                    heapq.heappush(running, (now + seconds, started))
            started += 1
        while free and turns:
            index, waiting = turns.popleft()
            heapq.heappush(running, (now + waiting.popleft(), index))
            free -= 1
            if waiting:
                turns.append((index, waiting))
        if not running:
            assert started == len(order), "every job starts in the end"
            return now
        now, index = heapq.heappop(running)
        left[index] -= 1
        free += order[index].in_slots

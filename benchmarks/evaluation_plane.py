"""The layers that judge against stock `dspy.Evaluate`, its slots under heavy-tailed latency, and the ledger's cost.

    python -m benchmarks.evaluation_plane --json [--full]

Keys: `ratio_vs_dspy_evaluate` (judgments per second over those of `dspy.Evaluate(num_threads=64)`, the same engine
behind both, zero latency, ledger off, median over alternating rounds), `ratio_vs_dspy_evaluate_one_thread`,
`judgments_per_s`, `judgments_per_s_with_ledger`, `slot_utilization` (share of the slots busy between the first and the
last full second of the clock, those two left out: nothing can fill the slots while the last calls run out; `detail`
has the share with both ends), `overhead_us_per_judgment`, `ledger_lookup_s`, `coordinator_rss_gb`.
`--full` measures the ledger at 1,000,000 judgments instead of 100,000.
"""

from __future__ import annotations

import json
import os
import resource
import statistics
import tempfile
import time
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks.running import in_own_process, run_benchmark, say, start_ray
from benchmarks.simulated_engine import SimulatedEngine, SimulatedEngineConfig
from benchmarks.stock_dspy import StockEvaluate
from judge_serve.judging import Example, Item, Judge, ModelIdentity, Program
from judge_serve.judging.engine import EngineReply, EngineRequest
from judge_serve.judging.judge_call import calls_of
from optimize_workers.evaluation.recorded import Recorded
from optimize_workers.evaluation.watched import Watched

NUM_CALLS = 20_000
NUM_STOCK_CALLS = 4_000  # of a round; stock is slow enough to be measured on fewer
ROUNDS = 3
SLOTS = 256
LATENCY_MEDIAN_S, LATENCY_SIGMA = 0.2, 0.5
WAVE = 10_000
LEDGER_ROWS, LEDGER_ROWS_FULL = 100_000, 1_000_000
PROGRAM = Program(
    sections={
        "rubric": "Rate how well the document serves the person who typed the query. Ask what they need, whether the "
        "document gives it, and whether it is complete and current.",
        "care": "A document that only shares words with the query is not relevant. Long documents are no better than "
        "short ones. Old documents answer questions about old things only.",
    }
)
JUDGE = Judge(program=PROGRAM, model=ModelIdentity(name="simulated", revision="1"))
ENGINE = SimulatedEngineConfig(rating_noise=0.2)  # all readable: stock would spend time on its parse errors
_SENTENCE = "The quarterly review of the search team lists what changed in ranking and why it was rolled back. "


def make_examples(count: int) -> list[Example]:
    """Examples of about 400 tokens of prompt, at four characters a token, the instruction included."""
    document = _SENTENCE * 5
    return [
        Example(
            Item(f"why was change {n} rolled back", f"{n} gold:{n % 5 + 1} {document}", f"q{n}", f"d{n}"), n % 5 + 1
        )
        for n in range(count)
    ]


def measure(full: bool) -> dict[str, Any]:
    """All arms, one after the other."""
    throughput = in_own_process(measure_throughput, full)
    slots = in_own_process(measure_slots, full)
    ledger = in_own_process(measure_ledger, full)
    return {
        "ratio_vs_dspy_evaluate": throughput["ratio_64_threads"],
        "ratio_vs_dspy_evaluate_one_thread": throughput["ratio_one_thread"],
        "judgments_per_s": throughput["ours_per_s"],
        "judgments_per_s_with_ledger": throughput["with_ledger_per_s"],
        "slot_utilization": slots["utilization"],
        "overhead_us_per_judgment": slots["overhead_us_per_judgment"],
        "ledger_lookup_s": ledger["lookup_s"],
        "coordinator_rss_gb": ledger["rss_gb"],
        "detail": {"throughput": throughput, "slots": slots, "ledger": ledger},
    }


def measure_throughput(_full: bool) -> dict[str, Any]:
    """Zero latency: ours and stock in alternating rounds, then ours with the ledger on."""
    from optimize_workers.evaluation.workers import WorkerPool
    from optimize_workers.ledger import Ledger

    examples = make_examples(NUM_CALLS)
    calls = calls_of(JUDGE, examples)
    start_ray()
    pool = WorkerPool(partial(SimulatedEngine, ENGINE), max_calls_in_flight=SLOTS)
    ours = Watched(pool)
    stock = StockEvaluate(SimulatedEngine(ENGINE), PROGRAM.instruction, JUDGE.task.scale)
    judged = ours.judge(calls[:500])  # starts the workers
    stock.run(examples[:200], 64)
    rounds = []
    for number in range(ROUNDS):
        one = {
            "ours_per_s": _rate(NUM_CALLS, lambda: ours.judge(calls)),
            "stock_64_threads_per_s": _rate(NUM_STOCK_CALLS, lambda: stock.run(examples[:NUM_STOCK_CALLS], 64)),
            "stock_one_thread_per_s": _rate(NUM_STOCK_CALLS, lambda: stock.run(examples[:NUM_STOCK_CALLS], 1)),
        }
        say(f"throughput round {number}: {one}")
        rounds.append(one)
    with tempfile.TemporaryDirectory() as folder:
        ledger = Ledger(f"sqlite:///{folder}/ledger.db")
        recording = Watched(Recorded(pool, ledger))

        def judge_and_store() -> None:
            recording.judge(calls)
            ledger.flush()

        with_ledger = _rate(NUM_CALLS, judge_and_store)
        warm = _rate(NUM_CALLS, lambda: recording.judge(calls))
        ledger.close()
    pool.close()
    return {
        "ratio_64_threads": statistics.median(one["ours_per_s"] / one["stock_64_threads_per_s"] for one in rounds),
        "ratio_one_thread": statistics.median(one["ours_per_s"] / one["stock_one_thread_per_s"] for one in rounds),
        "ours_per_s": statistics.median(one["ours_per_s"] for one in rounds),
        "with_ledger_per_s": with_ledger,
        "answered_by_ledger_per_s": warm,
        "ratio_with_ledger_64_threads": with_ledger
        / statistics.median(one["stock_64_threads_per_s"] for one in rounds),
        "rounds": rounds,
        "calls": NUM_CALLS,
        "stock_calls": NUM_STOCK_CALLS,
        "prompt_tokens_mean": statistics.fmean(judgment.prompt_tokens for judgment in judged),
        "stock_prompt_tokens_mean": stock.prompt_tokens_mean,
        "invalid_share": statistics.fmean(not judgment.is_valid for judgment in judged),
    }


def measure_slots(_full: bool) -> dict[str, Any]:
    """Lognormal latency: which share of the slots is busy, and what a judgment costs beside its time in a slot."""
    from optimize_workers.evaluation.workers import WorkerPool

    latency = {"latency_median_s": LATENCY_MEDIAN_S, "latency_sigma": LATENCY_SIGMA}
    examples = make_examples(NUM_CALLS)
    start_ray()
    with tempfile.TemporaryDirectory() as folder:
        connect = partial(MeteredEngine, ENGINE.model_copy(update=latency), Path(folder))
        pool = WorkerPool(connect, max_calls_in_flight=SLOTS)
        ours = Watched(pool)
        ours.judge([call._replace(occurrence=1) for call in calls_of(JUDGE, examples[: 2 * SLOTS])])
        started = time.time()
        judgments = ours.judge(calls_of(JUDGE, examples))
        ended = time.time()
        pool.close()
        meters = [json.loads(file.read_text()) for file in Path(folder).glob("*.json")]
    busy = {
        second: sum(meter["busy"].get(str(second), 0.0) for meter in meters)
        for second in range(int(started) + 1, int(ended))
    }
    shares = [slots / SLOTS for slots in busy.values()]
    in_slots_s = sum(judgment.latency_s for judgment in judgments)
    wall_s = ended - started
    return {
        "utilization": statistics.fmean(shares[1:-1]),
        "utilization_with_ends": statistics.fmean(shares),
        "overhead_us_per_judgment": 1e6 * (wall_s - in_slots_s / SLOTS) / NUM_CALLS,
        "wall_s": wall_s,
        "ideal_wall_s": in_slots_s / SLOTS,
        "busy_slots_by_second": list(busy.values()),
        "slots": SLOTS,
        "workers": len(meters),
        "calls": NUM_CALLS,
        **latency,
    }


class MeteredEngine(SimulatedEngine):
    """Simulated engine that keeps its busy slots per second in a file, for whoever is in another process."""

    def __init__(self, config: SimulatedEngineConfig, folder: Path) -> None:
        super().__init__(config)
        self._file = folder / f"{os.getpid()}.json"
        self._written = 0.0

    async def complete(self, request: EngineRequest) -> EngineReply:
        """See `SimulatedEngine.complete`."""
        reply = await super().complete(request)
        if time.monotonic() - self._written > 0.2:
            self._written = time.monotonic()
            self._file.write_text(json.dumps({"busy": dict(self.utilization())}))
        return reply


def measure_ledger(full: bool) -> dict[str, Any]:
    """Many judgments through pool and ledger, then a wave of 10,000 that the ledger answers."""
    from optimize_workers.evaluation.workers import WorkerPool
    from optimize_workers.ledger import Ledger

    num_rows = LEDGER_ROWS_FULL if full else LEDGER_ROWS
    start_ray()
    examples = make_examples(WAVE)
    with tempfile.TemporaryDirectory() as folder:
        store = Path(folder) / "ledger.db"
        ledger = Ledger(f"sqlite:///{store}")
        pool = WorkerPool(partial(SimulatedEngine, ENGINE), max_calls_in_flight=SLOTS)
        ours, calls = Watched(Recorded(pool, ledger)), calls_of(JUDGE, examples)
        ours.judge([call._replace(occurrence=10**6) for call in calls[:500]])
        started = time.perf_counter()
        for occurrence in range(num_rows // WAVE):
            ours.judge([call._replace(occurrence=occurrence) for call in calls])
            say(f"ledger: {(occurrence + 1) * WAVE} judgments, {time.perf_counter() - started:.0f} s")
        ledger.flush()
        fill_s = time.perf_counter() - started
        pool.close()
        alone = Watched(Recorded(None, ledger))
        lookups = []
        for occurrence in (0, num_rows // WAVE // 2, num_rows // WAVE - 1):
            repeated = [call._replace(occurrence=occurrence) for call in calls]
            began = time.perf_counter()
            judgments = alone.judge(repeated)
            lookups.append(time.perf_counter() - began)
            assert all(judgment.cached for judgment in judgments)
        ledger.close()
        store_bytes = store.stat().st_size
    return {
        "lookup_s": statistics.median(lookups),
        "rss_gb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024**2,
        "lookups_s": lookups,
        "rows": num_rows,
        "wave": WAVE,
        "stored_per_s": num_rows / fill_s,
        "store_bytes_per_judgment": store_bytes / num_rows,
    }


def _rate(count: int, work: Any) -> float:
    started = time.perf_counter()
    work()
    return float(count / (time.perf_counter() - started))


if __name__ == "__main__":
    from benchmarks import evaluation_plane  # by its name: other processes know no `__main__` of ours

    run_benchmark("the layers that judge", evaluation_plane.measure)

"""What the survival tests share: a wave on the simulated engine, killed at, and what must come out of it."""

from __future__ import annotations

import os
import signal

from benchmarks.simulated_engine import SimulatedEngine, SimulatedEngineConfig
from judge_serve.judging import Judgment
from judge_serve.judging.judge_call import JudgeCall, call_keys
from optimize_workers.evaluation.recorded import Recorded
from optimize_workers.evaluation.watched import Watched
from optimize_workers.ledger import Ledger
from tests.builders import JUDGE, PROGRAM, make_examples
from tests.fakes import InProcessPool

CONFIG = SimulatedEngineConfig(
    model="m", seed=3, malformed_rate=0.2, rating_noise=0.3, latency_median_s=0.05, latency_sigma=0.5
)
OTHER = PROGRAM.with_sections({"rubric": "Rate it well."})
EXAMPLES = make_examples(150)
CALLS = [
    JudgeCall(judge, example.item)
    for judge in (JUDGE, JUDGE.model_copy(update={"program": OTHER}))
    for example in EXAMPLES
]


class Disturber:
    """Watcher that does something once, when a third of the judgments is there."""

    def __init__(self, disturb):
        self._disturb = disturb
        self.seen = 0
        self.has_disturbed = False
        self.waits: list[str] = []

    def judged(self, judgments):
        self.seen += len(judgments)
        if self.seen > len(CALLS) / 3 and not self.has_disturbed:
            self.has_disturbed = True
            self._disturb()

    def waiting(self, text):
        self.waits.append(text)

    def spent(self, calls_left, usd_left, tokens_left):
        pass


def kill(pid: int) -> None:
    os.kill(pid, signal.SIGKILL)


def replies(judgments: list[Judgment]) -> list[tuple[object, ...]]:
    """All that an undisturbed run would have in common with a disturbed one: everything but the time it took."""
    return [(j.program, j.doc_id, j.rating, j.invalid_reason, j.raw_reply, j.prompt_tokens) for j in judgments]


def undisturbed() -> list[tuple[object, ...]]:
    """The same wave in this process, without latency, workers or ledger."""
    engine = SimulatedEngine(CONFIG.model_copy(update={"latency_median_s": 0.0}))
    return replies(InProcessPool(engine).judge(CALLS))


def run_disturbed(pool, folder, disturb) -> None:
    """Judge the wave with a disturbance; results equal the undisturbed run, the ledger holds each key once."""
    ledger = Ledger(f"sqlite:///{folder / 'ledger.db'}")
    watcher = Disturber(disturb)
    judgments = Watched(Recorded(pool, ledger), watcher).judge(CALLS)
    ledger.flush()
    assert watcher.has_disturbed
    assert watcher.seen == len(CALLS), "every judgment is told once"
    assert replies(judgments) == undisturbed()
    assert ledger.stats()["judgments"] == len(CALLS)
    found = ledger.find(keys := call_keys(CALLS))
    assert replies([found[key] for key in keys]) == undisturbed()
    ledger.close()

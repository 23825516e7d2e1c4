"""The registry with many versions of one name: registering, finding by id, finding the champion.

    python -m benchmarks.registry --json [--full]

Real MLflow on SQLite in a folder of its own, 1,000 releases of one name (`--full`: 5,000). The first is registered as a
command does it, with an answer of the gate, and is the champion; the others are written by MLflow's store with the same
text and tags, without asking for each whether it is known, which would be most of the time. Keys, each the slowest of
several: `register_s` (a new release with an answer of the gate), `resolve_s` (by id), `champion_s`. In `detail`: every
time, `known_s` (an answer for a release that is known), listing all, promoting.
"""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from benchmarks.running import run_benchmark, say
from cluster.registry.gate_record import GateRecord, KeptRule
from cluster.registry.prompts import DIGEST_TAG
from cluster.registry.store import DEFAULT_NAME, Registry
from judge_serve.judging import Judge, ModelIdentity, Program, Release
from optimize_workers.evidence.gate.rule import RuleStatus

VERSIONS, VERSIONS_FULL = 1_000, 5_000
REPEATS = 5
PARAGRAPH = "Rate how well the document answers the query; a page that names the thing and says nothing of it is a 2. "
PASSED = GateRecord(
    passed=True, n=200, queries=60, rules=tuple(KeptRule(name=f"rule_{n}", status=RuleStatus.PASSED) for n in range(12))
)


def measure(full: bool) -> dict[str, Any]:
    """Fill a registry, then ask it."""
    versions = VERSIONS_FULL if full else VERSIONS
    os.environ.pop("MLFLOW_TRACKING_URI", None)
    with tempfile.TemporaryDirectory(prefix="registry-") as folder:
        registry = Registry(Path(folder))
        first = registry.register(_release(0), gate=PASSED)
        filling_s = _seconds(lambda: _fill(registry, range(1, versions)))
        say(f"{versions} versions in {filling_s:.0f} s")
        promote_s = _seconds(lambda: registry.promote(first, None))
        registry = Registry(Path(folder))  # as the next command has it
        old, new = map(_release, range(1, REPEATS + 1)), map(_release, range(versions, versions + REPEATS))
        times = {
            "register": [_seconds(partial(registry.register, release, gate=PASSED)) for release in new],
            "known": [_seconds(partial(registry.register, release, gate=PASSED)) for release in old],
            "resolve": [_seconds(partial(registry.resolve, _release(n * 7).id)) for n in range(REPEATS)],
            "champion": [_seconds(partial(registry.champion_of, DEFAULT_NAME)) for _ in range(REPEATS)],
        }
        champion = registry.champion_of(DEFAULT_NAME)
        assert champion is not None and champion.release.digest == first.release.digest, "the first one is the champion"
        listing_s = _seconds(registry.listing)
        second = registry.resolve(_release(1).id)
        promote_again_s = _seconds(lambda: registry.promote(second, None))
    return {
        **{f"{name}_s": max(times[name]) for name in ("register", "resolve", "champion")},
        "detail": {
            "times_s": times,
            "listing_s": listing_s,
            "promote_s": [promote_s, promote_again_s],
            "filling_s": filling_s,
            "parameters": {"versions": versions, "repeats": REPEATS, "release_chars": len(_release(0).to_json())},
        },
    }


def _release(number: int) -> Release:
    """A release of the size that a search writes, each with another digest."""
    sections = {"rubric": f"Attempt {number}. {PARAGRAPH * 30}"}
    return Release(judge=Judge(program=Program(sections=sections), model=ModelIdentity(name="m")))


def _fill(registry: Registry, numbers: Iterable[int]) -> None:
    store = registry._prompts._client._get_registry_client().store
    for release in map(_release, numbers):
        text = {"mlflow.prompt.is_prompt": "true", "mlflow.prompt.text": release.to_json()}
        tags = {**text, "_mlflow_prompt_type": "text", DIGEST_TAG: release.digest}
        kept = [SimpleNamespace(key=key, value=value) for key, value in tags.items()]
        store.create_model_version(release.name, "prompt-template", tags=kept)


def _seconds(work: Callable[[], Any]) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


if __name__ == "__main__":
    run_benchmark("the registry with a thousand versions of a name", measure)

"""Where a report's figures come from: data, judge, search, release and its parents, versions, config."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from cluster.report.blocks import Section, cut, facts_table
from cluster.report.record import Record
from judge_serve.judging.release import SHORT_ID_CHARS

_MAX_RESULT_CHARS = 200_000


def provenance(record: Record) -> Section:
    """Everything that is needed to make the run again, and the recorded result itself."""
    tables = (
        facts_table(_data(record), "Data"),
        facts_table(_judge(record), "Judge"),
        facts_table(_release(record), "Release"),
        facts_table(_endpoint(record), "Endpoint"),
        facts_table(_search(record), "Search"),
        facts_table(_versions(record), "Versions"),
        replace(facts_table(record.config, "Config"), is_folded=True),
    )
    text = json.dumps(record.result, indent=2, ensure_ascii=False)
    return Section(
        "provenance",
        "Provenance",
        blocks=tuple(table for table in tables if table.rows),
        partial="result.html",
        content=cut(text, _MAX_RESULT_CHARS),
    )


def _data(record: Record) -> dict[str, Any]:
    dataset = record.dataset
    known = {key: dataset.get(key) for key in ("path", "fingerprint", "split", "n", "queries") if key in dataset}
    openings = record.result.get("test_openings")
    return known | ({"openings of the test split": openings} if openings is not None else {})


def _judge(record: Record) -> dict[str, Any]:
    judge = record.release.judge
    return {
        "task": judge.task.name,
        "scale": str(judge.task.scale),
        "model": judge.model.name,
        "revision": judge.model.revision,
        "identity": judge.model.id,
        **_answered(record),
        "mode": str(judge.mode),
        "sampling": judge.sampling.model_dump(mode="json"),
        "program": judge.program.digest[:SHORT_ID_CHARS],
        "sections": len(judge.program.sections),
        "bullets": len(judge.program.bullets),
        "demonstrations": len(judge.program.demonstrations),
    }


def _answered(record: Record) -> dict[str, Any]:
    """What answered, as far as the run recorded it: what it reports itself as, its scope, its canaries."""
    model = record.after.figures.get("model")
    if not isinstance(model, Mapping):
        return {}
    canaries = model.get("canaries")
    said = f"{canaries['agree']} of {canaries['n']} as before" if isinstance(canaries, Mapping) else "not compared"
    scope = f"{model.get('scope')}, {'CHANGED since it was met last' if model.get('changed') else 'unchanged'}"
    told = {"reported as": model.get("reported"), "vLLM": model.get("vllm"), "fingerprint": model.get("fingerprint")}
    return {"answered by": model.get("identity"), "scope": scope, "canaries": said} | {
        name: value for name, value in told.items() if value
    }


def _release(record: Record) -> dict[str, Any]:
    release = record.release
    parents = [parent[:SHORT_ID_CHARS] for parent in release.parents]
    return {"id": release.id, "digest": release.digest, "parents": parents or "none", "name": release.name}


def _endpoint(record: Record) -> dict[str, Any]:
    """Where the judge's model was asked, and what was left out of requests because it was refused."""
    known = dict(record.after.figures.get("endpoint") or {})
    dialect = known.pop("dialect", None) or {}
    return {**known, **dialect} if known else {}


def _search(record: Record) -> dict[str, Any]:
    keys = ("optimizer", "seed", "budget", "calls", "calls_saved")
    return {key: record.result[key] for key in keys if key in record.result}


def _versions(record: Record) -> Mapping[str, Any]:
    made = record.result.get("finished_at")
    return ({"finished at": made} if made else {}) | dict(record.part("versions"))

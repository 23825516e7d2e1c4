"""A recorded run read back: one judge's judgments with their examples, and what other judges said of these pairs."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from judge_serve.judging.errors import RefusedInputError
from judge_serve.judging.judge import Judge
from judge_serve.judging.judgment import AnswerMode, InvalidReason, Judgment
from judge_serve.judging.release import Release
from judge_serve.judging.task import Example, Item
from optimize_workers.guardrails import Guardrails

LEARNING_SPLITS = ("train", "val")  # what may be read without opening the test split
_RELEASES = ("release_document.json", "release.json")  # of `evaluate`; of `optimize` and `demo`
_REVIEWED_FIRST = ("winner", "judge", "baseline")  # the first that a run has is the one that is reviewed
# without these there is nothing to review; all others may be missing
_NEEDED_OF_JUDGMENTS = ("query_id", "doc_id", "split", "gold_rating", "rating", "model", "mode")
_NEEDED_OF_EXAMPLES = ("query_id", "doc_id", "split", "gold_rating", "query", "document")
Key = tuple[str, str]
Row = dict[str, Any]


@dataclass(frozen=True)
class RecordedRun:
    """Judgments of one arm of a run on some splits, with their examples in the same order.

    Attributes:
        path: the folder, absolute; by it the run is named.
        judge: of the run's release; in `demo` and `optimize` the winner, whichever arm was read.
        fingerprint: of the run's data.
        others: judgments of the run's other arms, of any pair.
        num_forgotten: pairs that are left out because their document was forgotten.
    """

    path: Path
    arm: str
    judge: Judge
    fingerprint: str
    judgments: list[Judgment]
    examples: list[Example]
    others: list[Judgment]
    num_forgotten: int

    @cached_property
    def guard(self) -> Guardrails:
        """What refuses bullets, as in a search; it knows the examples that were read of the run."""
        task, instruction = self.judge.task, self.judge.program.instruction
        return Guardrails(task.scale, instruction, self.examples, own_texts=[task.description])

    @property
    def splits(self) -> tuple[str, ...]:
        """The splits that the examples are of."""
        return tuple(sorted({example.split for example in self.examples}))


def read_run(folder: Path, arm: str | None = None, splits: Sequence[str] = LEARNING_SPLITS) -> RecordedRun:
    """Read a finished run of `evaluate`, `optimize` or `demo`; pairs that were not judged are left out.

    Args:
        folder: the run's `--out`.
        arm: `winner`, `baseline` or `judge`; by default the winner where there is one.
        splits: pairs of other splits are left out.

    Raises: RefusedInputError if the folder holds no finished run, or no judgments of that arm or those splits.
    """
    result = read_json(folder, "result.json")
    release = _release_path(folder)
    judged = _judged_rows(folder)
    arms = list(dict.fromkeys(_arm_of(row) for row in judged))
    chosen = arm or next((name for name in _REVIEWED_FIRST if name in arms), "")
    mine = [row for row in judged if _arm_of(row) == chosen and not row.get("occurrence")]
    if not mine:
        raise RefusedInputError(f"{folder}: has no judgments of {chosen or 'any judge'!r}, found {', '.join(arms)}")
    matched = _with_examples(folder, mine)
    read = [(row, example) for row, example in matched if row["split"] in splits]
    if not read:
        raise RefusedInputError(_no_such_split(release, {row["split"] for row in mine}, splits))
    kept = [(row, example) for row, example in read if example.item.document]
    dataset = (result.get("winner") or result).get("dataset") or {}
    return RecordedRun(
        path=folder.resolve(),
        arm=chosen,
        judge=Release.from_file(release).judge,
        fingerprint=str(dataset.get("fingerprint", "")),
        judgments=[_judgment(row) for row, _ in kept],
        examples=[example for _, example in kept],
        others=[_judgment(row) for row in judged if _arm_of(row) != chosen],
        num_forgotten=len(read) - len(kept),
    )


def read_arms(folder: Path) -> dict[str, tuple[tuple[Judgment, ...], tuple[Example, ...]]]:
    """All judgments of a run with their examples, by arm; of repeated ones the first, without what was not judged.

    Texts of forgotten documents are empty.

    Raises: RefusedInputError if the tables cannot be read or hold none.
    """
    judged: defaultdict[str, list[Row]] = defaultdict(list)
    for row in _judged_rows(folder):
        if not row.get("occurrence"):
            judged[_arm_of(row)].append(row)
    arms = {
        arm: [(_judgment(row), example) for row, example in _with_examples(folder, rows)]
        for arm, rows in judged.items()
    }
    if not arms:
        raise RefusedInputError(f"{folder}: judgments.parquet holds no judgments; run the command again")
    return {arm: (tuple(j for j, _ in pairs), tuple(e for _, e in pairs)) for arm, pairs in arms.items()}


def read_release(folder: Path) -> Release:
    """The release of a run; raises RefusedInputError if it holds none."""
    return Release.from_file(_release_path(folder))


def _release_path(folder: Path) -> Path:
    release = next((folder / name for name in _RELEASES if (folder / name).is_file()), None)
    if release is None:
        raise RefusedInputError(f"{folder}: holds no {' or '.join(_RELEASES)}; it is no run that judged labelled data")
    return release


def read_json(folder: Path, name: str) -> dict[str, Any]:
    """A JSON file of a run; raises RefusedInputError if it cannot be read."""
    try:
        content = json.loads((folder / name).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise RefusedInputError(f"{folder}: holds no finished run (no readable {name})") from error
    if not isinstance(content, dict):
        raise RefusedInputError(f"{folder}: holds no finished run ({name} holds no JSON object)")
    return content


def _no_such_split(release: Path, found: set[str], wanted: Sequence[str]) -> str:
    message = f"{release.parent}: judged split {', '.join(sorted(found))} only, expected {' or '.join(wanted)}"
    if found != {"test"}:
        return f"{message}; choose another --split"
    return (
        f"{message}: what people learn from test pairs must not reach the prompt. Judge the training examples first, "
        f"by 'relevance-judge evaluate DATA --release {release} --split train --out DIR', and review "
        "that run; or take --split test to look for wrong labels only, which is recorded as an opening of the split"
    )


def _with_examples(folder: Path, judged: Sequence[Row]) -> list[tuple[Row, Example]]:
    """Each judgment with its example: the n-th of a pair with the pair's n-th row in `examples.parquet`.

    Older versions wrote one row a pair, also where the data label it twice: then the human rating is still that of the
    judgment's own row, and the reasons, which may be those of the other label, are left out.
    """
    by_pair: defaultdict[Key, list[Example]] = defaultdict(list)
    for row in _rows_of(folder, "examples.parquet", _NEEDED_OF_EXAMPLES):
        by_pair[_key(row)].append(_example(row))
    num_seen: Counter[Key] = Counter()
    matched = []
    for row in judged:
        key = _key(row)
        if key not in by_pair:
            raise RefusedInputError(
                f"{folder}: examples.parquet has no document {key[1]!r} for query {key[0]!r}; run the command again"
            )
        example = by_pair[key][min(num_seen[key], len(by_pair[key]) - 1)]
        num_seen[key] += 1
        if example.gold_rating != row["gold_rating"]:
            example = replace(example, gold_rating=row["gold_rating"], gold_ratings=(), explanations=())
        matched.append((row, example))
    return matched


def _rows_of(folder: Path, name: str, needed: Sequence[str]) -> list[Row]:
    try:
        with pq.ParquetFile(folder / name) as file:  # `read_table` would import pandas, half of the page's start
            missing = [column for column in needed if column not in file.schema_arrow.names]
            rows: list[Row] = [] if missing else file.read().to_pylist()
    except (OSError, pa.ArrowException) as error:
        raise RefusedInputError(f"{folder}: {name} cannot be read ({error}); run the command again") from error
    if missing:
        raise RefusedInputError(f"{folder}: {name} has no column {', '.join(missing)}; run the command again")
    return rows


def _judged_rows(folder: Path) -> list[Row]:
    """Rows of what was judged: of the others there is nothing to show but why they were not, see `result.json`."""
    rows = _rows_of(folder, "judgments.parquet", _NEEDED_OF_JUDGMENTS)
    return [row for row in rows if row.get("not_judged") is None]


def _key(row: Row) -> Key:
    return row["query_id"], row["doc_id"]


def _arm_of(row: Row) -> str:
    return row.get("arm") or "judge"


def _example(row: Row) -> Example:
    item = Item(row["query"], row["document"] or "", row["query_id"], row["doc_id"])
    ratings, reasons = (tuple(row.get(name) or ()) for name in ("gold_ratings", "explanations"))
    return Example(item, row["gold_rating"], reasons, ratings, row["split"])


def _judgment(row: Row) -> Judgment:
    """A judgment of a row; columns that other versions of this project may not have written may be missing."""
    reason = row.get("invalid_reason")
    return Judgment(
        query_id=row["query_id"],
        doc_id=row["doc_id"],
        rating=row["rating"],
        expected_rating=row.get("expected_rating"),
        explanation=row.get("explanation"),
        invalid_reason=InvalidReason(reason) if reason else None,
        raw_reply=row.get("raw_reply") or "",
        finish_reason=row.get("finish_reason") or "",
        program="",  # a run's folder names the release instead
        model=row["model"],
        mode=AnswerMode(row["mode"]),
        occurrence=row.get("occurrence") or 0,
        prompt_tokens=row.get("prompt_tokens") or 0,
        completion_tokens=row.get("completion_tokens") or 0,
        latency_s=row.get("latency_s") or 0.0,
        cached=bool(row.get("cached")),
        digit_mass=row.get("digit_mass"),
        identity=row.get("identity") or "",
    )

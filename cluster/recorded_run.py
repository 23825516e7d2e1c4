"""A recorded run read back: one judge's judgments with their examples, and what other judges said of these pairs."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from judge_serve.judging.errors import RefusedInputError
from judge_serve.judging.judge import Judge
from judge_serve.judging.judgment import AnswerMode, InvalidReason, Judgment
from judge_serve.judging.release import Release
from judge_serve.judging.task import Example, Item

LEARNING_SPLITS = ("train", "val")  # what may be read without opening the test split
_RELEASES = ("release_document.json", "release.json")  # of `evaluate`; of `optimize` and `demo`
_ARMS = ("winner", "judge", "baseline")  # the first that a run has is the one that is reviewed
Key = tuple[str, str]


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

    @property
    def splits(self) -> tuple[str, ...]:
        """The splits that the examples are of."""
        return tuple(sorted({example.split for example in self.examples}))


def read_run(folder: Path, arm: str | None = None, splits: Sequence[str] = LEARNING_SPLITS) -> RecordedRun:
    """Read a finished run of `evaluate`, `optimize` or `demo`.

    Args:
        folder: the run's `--out`.
        arm: `winner`, `baseline` or `judge`; by default the winner where there is one.
        splits: pairs of other splits are left out.

    Raises: RefusedInputError if the folder holds no finished run, or no judgments of that arm or those splits.
    """
    result = read_json(folder, "result.json")
    release = _release_path(folder)
    judged = _rows_of(folder, "judgments.parquet")
    arms = list(dict.fromkeys(row["arm"] for row in judged))
    chosen = arm or next((name for name in _ARMS if name in arms), "")
    mine = [row for row in judged if row["arm"] == chosen and row["occurrence"] == 0]
    if not mine:
        raise RefusedInputError(f"{folder}: has no judgments of {chosen or 'any judge'!r}, found {', '.join(arms)}")
    examples = {_key(row): _example(row) for row in _rows_of(folder, "examples.parquet")}
    read = [row for row in mine if row["split"] in splits]
    if not read:
        raise RefusedInputError(_no_such_split(release, {row["split"] for row in mine}, splits))
    kept = [row for row in read if examples[_key(row)].item.document]
    dataset = (result.get("winner") or result).get("dataset", {})
    return RecordedRun(
        path=folder.resolve(),
        arm=chosen,
        judge=Release.from_file(release).judge,
        fingerprint=str(dataset.get("fingerprint", "")),
        judgments=[_judgment(row) for row in kept],
        examples=[examples[_key(row)] for row in kept],
        others=[_judgment(row) for row in judged if row["arm"] != chosen],
        num_forgotten=len(read) - len(kept),
    )


def read_arms(folder: Path) -> dict[str, tuple[tuple[Judgment, ...], tuple[Example, ...]]]:
    """All judgments of a run with their examples, by arm; of repeated ones the first.

    Texts of forgotten documents are empty.

    Raises: RefusedInputError if the tables cannot be read or hold none.
    """
    examples = {_key(row): _example(row) for row in _rows_of(folder, "examples.parquet")}
    arms: dict[str, list[tuple[Judgment, Example]]] = {}
    for row in _rows_of(folder, "judgments.parquet"):
        if _key(row) not in examples:
            raise RefusedInputError(f"{folder}: examples.parquet lacks the pair {_key(row)}; run the command again")
        if row["occurrence"] == 0:
            arms.setdefault(row["arm"], []).append((_judgment(row), examples[_key(row)]))
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
        content: dict[str, Any] = json.loads((folder / name).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise RefusedInputError(f"{folder}: holds no finished run (no readable {name})") from error
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


def _rows_of(folder: Path, name: str) -> list[dict[str, Any]]:
    try:
        rows: list[dict[str, Any]] = pq.read_table(folder / name).to_pylist()
    except (OSError, pa.ArrowException) as error:
        raise RefusedInputError(f"{folder}: {name} cannot be read ({error}); run the command again") from error
    return rows


def _key(row: dict[str, Any]) -> Key:
    return row["query_id"], row["doc_id"]


def _example(row: dict[str, Any]) -> Example:
    item = Item(row["query"], row["document"], row["query_id"], row["doc_id"])
    ratings = tuple(row.get("gold_ratings") or ())  # not there in runs of older versions
    return Example(item, row["gold_rating"], tuple(row["explanations"] or ()), ratings, row["split"])


def _judgment(row: dict[str, Any]) -> Judgment:
    return Judgment(
        query_id=row["query_id"],
        doc_id=row["doc_id"],
        rating=row["rating"],
        expected_rating=row["expected_rating"],
        explanation=row["explanation"],
        invalid_reason=InvalidReason(row["invalid_reason"]) if row["invalid_reason"] else None,
        raw_reply=row["raw_reply"],
        finish_reason=row["finish_reason"],
        program="",  # a run's folder names the release instead
        model=row["model"],
        mode=AnswerMode(row["mode"]),
        occurrence=row["occurrence"],
        prompt_tokens=row["prompt_tokens"],
        completion_tokens=row["completion_tokens"],
        latency_s=row["latency_s"],
        cached=row["cached"],
    )

"""A run's folder: resolved config, judgments, example texts, result; written so that half a file never counts."""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from judge_serve.judging.errors import RefusedInputError
from judge_serve.judging.judgment import Judgment
from judge_serve.judging.task import Example

_COLUMNS: list[Any] = [
    ("arm", pa.string()),
    ("query_id", pa.string()),
    ("doc_id", pa.string()),
    ("split", pa.string()),
    ("occurrence", pa.int32()),
    ("gold_rating", pa.float64()),
    ("rating", pa.int32()),
    ("expected_rating", pa.float64()),
    ("explanation", pa.string()),
    ("invalid_reason", pa.string()),
    ("not_judged", pa.string()),
    ("raw_reply", pa.string()),
    ("finish_reason", pa.string()),
    ("release", pa.string()),
    ("model", pa.string()),
    ("mode", pa.string()),
    ("prompt_tokens", pa.int64()),
    ("completion_tokens", pa.int64()),
    ("latency_s", pa.float64()),
    ("cached", pa.bool_()),
    ("digit_mass", pa.float64()),
    ("identity", pa.string()),
]
JUDGMENT_SCHEMA = pa.schema(_COLUMNS)


OFFERED_BULLETS = "bullets.jsonl"  # what a run chooses from
_RELEASE = "release.json"
_CANDIDATES = "candidates.jsonl"
_MAY_DIFFER = {"max_not_judged"}  # of a resumed run's config: it decides nothing but whether the run fails
_MODELS = "models.json"  # what answers in this run, by name


class RunFolder:
    """The folder named by `--out`."""

    def __init__(self, path: Path) -> None:
        self.path = path

    @staticmethod
    def check(path: Path, resumed: dict[str, Any] | None = None) -> None:
        """Raise RefusedInputError if `--out` cannot become a run's folder; writes nothing.

        `resumed` is the config of a run that is to be resumed there: it must be the one that the folder holds.
        """
        if (path / "result.json").exists():
            raise RefusedInputError(f"{path} holds a finished run; choose another --out or remove it")
        existing = next(parent for parent in (path, *path.absolute().parents) if parent.exists())
        if not existing.is_dir() or not os.access(existing, os.W_OK):
            raise RefusedInputError(f"--out {path} cannot be written; choose another")
        if resumed is not None:
            _check_same_config(path, resumed)

    @staticmethod
    def has_begun(path: Path) -> bool:
        """Whether a search in this folder came as far as its first trial."""
        return (path / _CANDIDATES).exists()

    @classmethod
    def create(cls, path: Path, config: dict[str, Any], *, resume: bool = False) -> RunFolder:
        """Make the folder and write `config.json`.

        Raises: RefusedInputError if a finished run lives there, if it cannot be written, or if it is to be resumed
            and holds no run of this config.
        """
        cls.check(path, config if resume else None)
        try:
            path.mkdir(parents=True, exist_ok=True)
            folder = cls(path)
            stale = (
                [_CANDIDATES] if resume else [_CANDIDATES, OFFERED_BULLETS, _RELEASE, _MODELS]
            )  # of a run that did not finish
            for name in stale:
                (path / name).unlink(missing_ok=True)
            folder.write_json("config.json", config)
        except OSError as error:
            raise RefusedInputError(f"--out {path} cannot be written ({error.strerror}); choose another") from error
        return folder

    def write_json(self, name: str, content: Any) -> Path:
        """Write a JSON file; it appears whole or not at all."""
        text = json.dumps(content, indent=2, ensure_ascii=False, allow_nan=False) + "\n"
        return self.write_text(name, text)

    def write_text(self, name: str, text: str) -> Path:
        """Write a text file; it appears whole or not at all."""
        return write_whole(self.path / name, text)

    def noted_models(self) -> list[dict[str, Any]]:
        """What was noted to answer in this run, in order."""
        path = self.path / _MODELS
        try:
            return list(json.loads(path.read_text(encoding="utf-8"))) if path.is_file() else []
        except ValueError as error:
            raise RefusedInputError(f"{path} cannot be read ({error}); it was changed") from error

    def note_models(self, identities: Sequence[dict[str, Any]]) -> None:
        """Keep what answers in this run."""
        self.write_json(_MODELS, list(identities))

    def write_release(self, document: str) -> Path:
        """Write `release.json`: what the run made or, as long as it is not finished, what its search found."""
        return self.write_text(_RELEASE, document)

    def append_line(self, name: str, content: Any) -> None:
        """Append one JSON line."""
        with (self.path / name).open("a", encoding="utf-8") as file:
            file.write(json.dumps(content, ensure_ascii=False, allow_nan=False) + "\n")

    def write_judgments(self, arms: Sequence[tuple[str, str, Sequence[Judgment], Sequence[Example]]]) -> None:
        """Write `judgments.parquet` and `examples.parquet` of (arm, release, judgments, examples) groups.

        The n-th judgment of a pair, of one arm and occurrence, is of the pair's n-th row in `examples.parquet`: a pair
        that the data label twice has two rows there.
        """
        rows = [
            {
                "arm": arm,
                "query_id": judgment.query_id,
                "doc_id": judgment.doc_id,
                "split": example.split,
                "occurrence": judgment.occurrence,
                "gold_rating": example.gold_rating,
                "rating": judgment.rating,
                "expected_rating": judgment.expected_rating,
                "explanation": judgment.explanation,
                "invalid_reason": judgment.invalid_reason and str(judgment.invalid_reason),
                "not_judged": judgment.cause,
                "raw_reply": judgment.raw_reply,
                "finish_reason": judgment.finish_reason,
                "release": release,
                "model": judgment.model,
                "mode": str(judgment.mode),
                "prompt_tokens": judgment.prompt_tokens,
                "completion_tokens": judgment.completion_tokens,
                "latency_s": judgment.latency_s,
                "cached": judgment.cached,
                "digit_mass": judgment.digit_mass,
                "identity": judgment.identity or None,
            }
            for arm, release, judgments, examples in arms
            for judgment, example in zip(judgments, examples, strict=True)
        ]
        self._write_table("judgments.parquet", pa.Table.from_pylist(rows, schema=JUDGMENT_SCHEMA))
        texts: dict[tuple[str, str, int], dict[str, Any]] = {}
        for _, _, judgments, examples in arms:
            num_seen: Counter[tuple[str, str, int]] = Counter()
            for judgment, example in zip(judgments, examples, strict=True):
                pair = example.item.query_id, example.item.doc_id
                nth = num_seen[*pair, judgment.occurrence]
                num_seen[*pair, judgment.occurrence] += 1
                texts[*pair, nth] = _example_row(example)
        self._write_table("examples.parquet", pa.Table.from_pylist(list(texts.values())))

    def write_rows(self, name: str, rows: Sequence[dict[str, Any]]) -> None:
        """Write rows of equal keys as a Parquet table."""
        self._write_table(name, pa.Table.from_pylist(list(rows)))

    def _write_table(self, name: str, table: pa.Table) -> None:
        scratch = self.path / f".{name}.tmp"
        pq.write_table(table, scratch)
        scratch.rename(self.path / name)


def _example_row(example: Example) -> dict[str, Any]:
    return {
        "query_id": example.item.query_id,
        "doc_id": example.item.doc_id,
        "query": example.item.query,
        "document": example.item.document,
        "gold_rating": example.gold_rating,
        "gold_ratings": list(example.gold_ratings),
        "explanations": list(example.explanations),
        "split": example.split,
    }


def write_whole(path: Path, text: str) -> Path:
    """Write a text file; it appears whole or not at all."""
    scratch = path.with_name(f".{path.name}.tmp")
    scratch.write_text(text, encoding="utf-8")
    return scratch.rename(path)


def _check_same_config(path: Path, config: dict[str, Any]) -> None:
    try:
        found = json.loads((path / "config.json").read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise RefusedInputError(f"--resume: {path} holds no run to resume; leave --resume out") from error
    keys = sorted({*found, *config} - _MAY_DIFFER)
    differing = [key for key in keys if found.get(key) != config.get(key)]
    if differing:
        changes = ", ".join(f"{key} was {found.get(key)!r}, is {config.get(key)!r}" for key in differing)
        raise RefusedInputError(f"--resume: the run in {path} has another config ({changes}); use the same one")

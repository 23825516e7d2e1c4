"""What a run recorded, read back for its report: arms with their figures, the release, the search."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from cluster.runs.recorded import read_arms, read_json, read_release
from judge_serve.judging.errors import RefusedInputError
from judge_serve.judging.judgment import Judgment
from judge_serve.judging.program import Program
from judge_serve.judging.release import Release
from judge_serve.judging.scale import Scale
from judge_serve.judging.task import Example
from optimize_workers.statistics.metrics import measure
from optimize_workers.study import StudyResult, Trial

_TRAINING_ARM = "calibration"  # judgments of train that a calibration was fitted on; no judge of its own
BASELINE_FILE = "baseline.json"  # the release that a search started from
_FIGURES_OF = {  # where `result.json` holds an arm's figures; those of `evaluate` are at its top
    "baseline": "baseline",
    "winner": "winner",
    "baseline_expected": "expected_baseline",
    "winner_expected": "expected",
    "winner_calibrated": "calibrated",
}
_MEASURED = ("n", "valid", "nmse", "nmse_ci95", "nmse_constant", "skill", "confusion", "rating_counts", "qwk", "bias")


@dataclass(frozen=True)
class Arm:
    """A judge of a run on its examples.

    Attributes:
        name: `baseline`, `winner`, `judge` or a further one.
        figures: as `evaluate` writes them.
    """

    name: str
    judgments: tuple[Judgment, ...]
    examples: tuple[Example, ...]
    figures: Mapping[str, Any]

    @property
    def title(self) -> str:
        """The name as it is shown."""
        name, _, mode = self.name.partition("_")
        return f"{name}, mode {mode}" if mode else name


@dataclass(frozen=True)
class Record:
    """A run, as its folder holds it; what an older version did not write is not there.

    Attributes:
        release: the judge of `evaluate`, otherwise the winner or, in `demo`, what was deployed.
        baseline: the program that a search started from.
        study: the search, None for `evaluate`.
    """

    path: Path
    result: Mapping[str, Any]
    config: Mapping[str, Any]
    arms: tuple[Arm, ...]
    release: Release
    baseline: Program | None
    study: StudyResult | None

    @cached_property
    def before(self) -> Arm | None:
        """The baseline."""
        return next((arm for arm in self.arms if arm.name == "baseline"), None)

    @cached_property
    def after(self) -> Arm:
        """The judge that the report is about: the winner, or the one that was measured."""
        return next((arm for arm in self.arms if arm.name in ("winner", "judge")), self.arms[-1])

    @property
    def scale(self) -> Scale:
        """Of the ratings."""
        return self.release.judge.task.scale

    @property
    def dataset(self) -> Mapping[str, Any]:
        """What was judged."""
        found = self.after.figures.get("dataset")
        return found if isinstance(found, Mapping) else {}

    def part(self, key: str) -> Mapping[str, Any]:
        """A part of the result, empty if it is not there."""
        found = self.result.get(key)
        return found if isinstance(found, Mapping) else {}

    def records(self, key: str) -> list[Mapping[str, Any]]:
        """A list of the result, empty if it is not there."""
        return records_of(self.result.get(key))


def records_of(value: Any) -> list[Mapping[str, Any]]:
    """The records of a list, empty if it is none."""
    return [entry for entry in value if isinstance(entry, Mapping)] if isinstance(value, list) else []


def read_record(folder: Path, result: Mapping[str, Any] | None = None) -> Record:
    """Read a run of `evaluate`, `optimize` or `demo`.

    Args:
        folder: the run's `--out`.
        result: what will be its `result.json`, where that is not written yet.

    Raises: RefusedInputError if the folder holds no such run.
    """
    result = read_json(folder, "result.json") if result is None else result
    release = read_release(folder)
    arms = tuple(
        Arm(name, judgments, examples, _figures(name, judgments, examples, result, release.judge.task.scale))
        for name, (judgments, examples) in read_arms(folder).items()
        if name != _TRAINING_ARM
    )
    trials = _trials(folder)
    baseline = _baseline(folder, trials)
    study = StudyResult(
        winner=release.judge.program,
        trials=trials,
        refusals=dict(result.get("refusals") or {}),
        calls_saved=int(result.get("calls_saved") or 0),
    )
    return Record(
        path=folder.resolve(),
        result=result,
        config=read_json(folder, "config.json") if (folder / "config.json").is_file() else {},
        arms=arms,
        release=release,
        baseline=baseline,
        study=study if "optimizer" in result or trials else None,
    )


def _figures(
    name: str,
    judgments: tuple[Judgment, ...],
    examples: tuple[Example, ...],
    result: Mapping[str, Any],
    scale: Scale,
) -> dict[str, Any]:
    """The recorded figures; those that an older version did not record are taken from the judgments."""
    recorded = result.get(_FIGURES_OF[name]) if name in _FIGURES_OF else result if name == "judge" else None
    known = dict(recorded) if isinstance(recorded, Mapping) else {}
    if all(key in known for key in _MEASURED):
        return known
    figures = measure(judgments, examples, scale)
    taken = {**asdict(figures), "nmse_ci95": list(figures.nmse_ci95), "validity": figures.validity}
    counted = {
        "calls": len(judgments),
        "cached": sum(judgment.cached for judgment in judgments),
        "prompt_tokens": sum(judgment.prompt_tokens for judgment in judgments),
        "completion_tokens": sum(judgment.completion_tokens for judgment in judgments),
        "judge": {"mode": str(judgments[0].mode), "model": judgments[0].model},
    }
    return {**taken, **counted, **known}


def _trials(folder: Path) -> tuple[Trial, ...]:
    """The trials of `candidates.jsonl`; the other lines of it are refused proposals."""
    path = folder / "candidates.jsonl"
    if not path.is_file():
        return ()
    try:
        lines = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]
        return tuple(_trial(line) for line in lines if "trial" in line)
    except (OSError, ValueError, KeyError, TypeError, ValidationError) as error:
        raise RefusedInputError(f"{path} cannot be read ({type(error).__name__}: {error}); it was changed") from error


def _trial(line: Mapping[str, Any]) -> Trial:
    return Trial(
        number=int(line["trial"]),
        program=Program.model_validate(line["program"]),
        score=float(line["score"]),
        validity=float(line["validity"]),
        n=int(line["n"]),
        is_full=bool(line["is_full"]),
        origin=dict(line.get("origin") or {}),
        split=str(line.get("split", "val")),  # older versions had no others
        calls=int(line.get("calls", 0)),
    )


def _baseline(folder: Path, trials: tuple[Trial, ...]) -> Program | None:
    """What the search started from: recorded, or in older runs the first program judged in full."""
    if (folder / BASELINE_FILE).is_file():
        return Release.from_file(folder / BASELINE_FILE).judge.program
    return next((trial.program for trial in trials if trial.is_full and trial.split == "val"), None)

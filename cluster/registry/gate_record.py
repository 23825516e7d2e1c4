"""What the registry keeps of a gate: date, data, against what, every rule; and of earlier answers a summary."""

from __future__ import annotations

import json
import logging
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Annotated, Any, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from judge_serve.judging.errors import RefusedInputError
from optimize_workers.evidence.gate.rule import RuleStatus

logger = logging.getLogger(__name__)
Kept = TypeVar("Kept", bound=BaseModel)

MAX_HISTORY = 20
MAX_REASON_CHARS = 4_000
MAX_DOCUMENT_CHARS = 90_000  # MLflow refuses tags of 100,000
_FIGURES = ("nmse", "nmse_ci95", "validity", "nmse_valid", "nmse_constant", "skill", "bias", "qwk")


def now() -> str:
    """This moment in UTC, ISO 8601 with seconds."""
    return datetime.now(UTC).isoformat(timespec="seconds")


class Override(BaseModel):
    """A command that went on without the gate's yes: when, which, and the reason that a person gave."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    date: str = Field(default_factory=now, max_length=40)
    command: str = Field(max_length=40)
    reason: str = Field(max_length=1_000)

    @staticmethod
    def dump_all(overrides: Sequence[Override]) -> str:
        """As JSON, the latest ones that fit."""
        return _dump_latest(overrides)


class GateSummary(BaseModel):
    """An earlier answer in short."""

    model_config = ConfigDict(frozen=True, extra="ignore", allow_inf_nan=False)

    date: str = Field(default_factory=now, max_length=40)
    passed: bool
    command: str = Field("", max_length=40)
    against: str | None = Field(None, max_length=100)
    fingerprint: str | None = Field(None, max_length=100)
    n: int | None = Field(None, ge=0)

    @staticmethod
    def dump_all(summaries: Sequence[GateSummary]) -> str:
        """As JSON, the latest ones that fit."""
        return _dump_latest(summaries)


class KeptRule(BaseModel):
    """A rule as the registry keeps it."""

    model_config = ConfigDict(frozen=True, extra="ignore", allow_inf_nan=False)

    name: str = Field(max_length=100)
    status: RuleStatus
    limit: float | None = None
    found: float | None = None
    reason: str | None = Field(None, max_length=MAX_REASON_CHARS)


class KeptShift(BaseModel):
    """What a kind of perturbed pairs did, as the registry keeps it."""

    model_config = ConfigDict(frozen=True, extra="ignore", allow_inf_nan=False)

    kind: str = Field(max_length=100)
    expected: str = Field(max_length=100)
    n: int = Field(ge=0)
    invalid: int = Field(ge=0)
    mean_shift: float | None = None
    ci95: tuple[float, float] | None = None
    moved_share: float | None = None
    extra_shift: float | None = None
    extra_ci95: tuple[float, float] | None = None


class GateRecord(GateSummary):
    """An answer of the gate about one release.

    Attributes:
        date: when, in UTC.
        command: what asked: `gate`, `optimize`, `demo`; empty where it did not say.
        against: id of the release that it was compared with; None if there was none.
        against_role: what that release is (`champion`, `parent`, `baseline`, `--against`).
        fingerprint: of the data; n and queries are the held-out examples.
        rules: name, status, limit, found and reason of each.
        adversarial: shift per kind, empty if no perturbed pair was judged.
        figures: of the release on these examples.
        changed_limits: limits of rules that were not the usual ones, by name.
        test_openings: how often the test split of these data had been opened by then, this time counted.
        imported_from: where an imported result was made; None for one of this registry.
    """

    reasons: tuple[Annotated[str, Field(max_length=MAX_REASON_CHARS)], ...] = Field((), max_length=100)
    against_role: str = Field("", max_length=40)
    queries: int | None = Field(None, ge=0)
    rules: tuple[KeptRule, ...] = Field((), max_length=100)
    adversarial: tuple[KeptShift, ...] = Field((), max_length=50)
    figures: dict[str, float | tuple[float, float] | None] = Field({}, max_length=50)
    changed_limits: dict[Annotated[str, Field(max_length=100)], float] = Field({}, max_length=50)
    test_openings: int | None = Field(None, ge=0)
    imported_from: str | None = Field(None, max_length=200)

    @model_validator(mode="after")
    def _check_rules(self) -> GateRecord:
        failed = [rule.name for rule in self.rules if rule.status is RuleStatus.FAILED]
        if self.passed and failed:
            raise ValueError(f"it passed and failed {', '.join(failed)}")
        return self

    def summary(self) -> GateSummary:
        """The answer in short."""
        return GateSummary.model_validate(self.model_dump(include=set(GateSummary.model_fields)))

    def dump(self, most: int) -> str:
        """As JSON of at most so many characters.

        Raises: RefusedInputError if it is longer, which honest ones are not.
        """
        text = json.dumps(self.model_dump(mode="json"), ensure_ascii=True, allow_nan=False)
        if len(text) > most:
            raise RefusedInputError(f"the gate result has {len(text)} characters, at most {most} can be kept")
        return text


def figures_of(figures: dict[str, Any]) -> dict[str, Any]:
    """What a record keeps of a judge's figures."""
    return {key: figures[key] for key in _FIGURES}


def read_record(text: str | None) -> GateRecord | None:
    """A record as `dump` wrote it; None where there is none or it cannot be read."""
    if not text:
        return None
    try:
        return GateRecord.model_validate_json(text)
    except ValidationError as error:
        logger.warning("a gate result in the registry cannot be read (%d errors)", error.error_count())
        return None


def read_history(text: str | None) -> tuple[GateSummary, ...]:
    """Earlier answers as `GateSummary.dump_all` wrote them."""
    return tuple(_read_all(GateSummary, text))


def read_overrides(text: str | None) -> tuple[Override, ...]:
    """Overrides as `Override.dump_all` wrote them."""
    return tuple(_read_all(Override, text))


def _dump_latest(entries: Sequence[BaseModel]) -> str:
    """The latest `MAX_HISTORY`, or as many of them as fit a tag: a list that is cut short could not be read at all."""
    latest = [one.model_dump(mode="json") for one in entries[-MAX_HISTORY:]]
    while len(text := json.dumps(latest)) > MAX_DOCUMENT_CHARS:
        latest = latest[1:]
    return text


def _read_all(kind: type[Kept], text: str | None) -> list[Kept]:
    if not text:
        return []
    try:
        return [kind.model_validate(one) for one in json.loads(text)]
    except (ValueError, TypeError) as error:
        logger.warning("a list of %s in the registry cannot be read (%s)", kind.__name__, type(error).__name__)
        return []

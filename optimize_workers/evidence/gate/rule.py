"""One rule's answer: its limit, what was found, and whether it passed, failed or could not be checked."""

from __future__ import annotations

import math
from enum import StrEnum
from typing import Any, NamedTuple


class RuleStatus(StrEnum):
    """What became of a rule."""

    PASSED = "passed"
    FAILED = "failed"
    NOT_CHECKED = "not_checked"


class Rule(NamedTuple):
    """A rule with its limit and what was found; None where there is no number.

    `reason` says why it failed or was not checked; of a rule that passed, what a reader should know all the same.
    """

    name: str
    status: RuleStatus
    limit: float | None = None
    found: float | None = None
    reason: str | None = None

    def as_dict(self) -> dict[str, Any]:
        """JSON form; `passed` is None where the rule was not checked."""
        passed = None if self.status is RuleStatus.NOT_CHECKED else self.status is RuleStatus.PASSED
        return {**self._asdict(), "status": str(self.status), "passed": passed}


def at_least(name: str, found: float | None, limit: float, reason: str) -> Rule:
    """A rule that holds if `found` is `limit` or more; a figure that is undefined fails it."""
    return _judged(name, found, limit, reason, found is not None and found >= limit)


def at_most(name: str, found: float | None, limit: float, reason: str) -> Rule:
    """A rule that holds if `found` is `limit` or less; a figure that is undefined fails it."""
    return _judged(name, found, limit, reason, found is not None and found <= limit)


def more_than(name: str, found: float | None, limit: float, reason: str) -> Rule:
    """A rule that holds if `found` is above `limit`; a figure that is undefined fails it."""
    return _judged(name, found, limit, reason, found is not None and found > limit)


def not_checked(name: str, reason: str, limit: float | None = None) -> Rule:
    """A rule that there is no evidence for."""
    return Rule(name, RuleStatus.NOT_CHECKED, limit, reason=reason)


def kept(name: str, broken: str | None) -> Rule:
    """A rule without numbers; `broken` says how it is broken, if it is."""
    return Rule(name, RuleStatus.FAILED if broken else RuleStatus.PASSED, reason=broken)


def _judged(name: str, found: float | None, limit: float, reason: str, holds: bool) -> Rule:
    # no comparison holds for NaN, so it fails
    number = found if found is not None and math.isfinite(found) else None
    return Rule(name, RuleStatus.PASSED if holds else RuleStatus.FAILED, limit, number, None if holds else reason)

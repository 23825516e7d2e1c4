"""Scopes: which of a model's answers the ledger may give, after its canaries were asked.

A scope begins when a model is first met, and whenever its answers have changed; what was recorded in another scope is
not the answer of this model any more. If it answers again as in an earlier scope, that one answers again.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

from judge_serve.judging.canaries import CANARY_SET, CanaryAnswers, Readings
from judge_serve.judging.identity import ModelIdentity
from optimize_workers.statistics.agreement import Agreement, agrees_at_once, compare_readings, majority


class Meeting(NamedTuple):
    """One time that a model was met: what it was, in its scope, where, and what it answered.

    Attributes:
        address: of its endpoint, None where it was served here.
        version: of vLLM, None where that is not known.
        fingerprint: what the endpoint said of its set-up.
    """

    model: ModelIdentity
    address: str | None
    version: str | None
    fingerprint: str | None
    canaries: CanaryAnswers


class Decision(NamedTuple):
    """The scope of a model that was met, what it answered, and how that agrees with the scope before.

    Attributes:
        reference: what later answers of this scope are compared with, those that it began with.
        agreement: with the scope that answered last; None of a model that is met for the first time.
        is_new: whether the scope begins here.
        is_changed: whether the model is shown to answer otherwise than last time.
    """

    scope: int
    canaries: CanaryAnswers
    reference: CanaryAnswers
    agreement: Agreement | None
    is_new: bool
    is_changed: bool


def decide_scope(
    meetings: Sequence[Meeting], first: Readings, ask_again: Callable[[Sequence[int]], Readings], *, fresh: bool = False
) -> Decision:
    """The scope in which a model answers that was asked its canaries once.

    Args:
        meetings: those of the same model before, oldest first.
        first: its answers of now.
        ask_again: asks the canaries with these places once more.
        fresh: a new scope is wanted, whatever the answers.
    """
    usable = [meeting for meeting in meetings if meeting.canaries.canary_set == CANARY_SET]
    known = {meeting.model.scope: meeting.canaries for meeting in reversed(usable)}  # the first of a scope stays
    last = usable[-1].model.scope if usable else None
    if last is not None and not fresh and agrees_at_once(known[last].readings, first):
        agreement = _against(known[last], first, settled=1)
        return Decision(last, CanaryAnswers(readings=first), known[last], agreement, False, False)
    canaries = settle(first, ask_again)
    next_scope = max((meeting.model.scope for meeting in meetings), default=-1) + 1
    if last is None:
        # what was recorded of a model that was never met, as by version 0.1, stands in scope 0
        scope = max(1, next_scope) if fresh else next_scope
        return Decision(scope, canaries, canaries, None, True, False)
    agreement = _against(known[last], canaries.readings)
    if not fresh:
        order = [last, *sorted(set(known) - {last}, reverse=True)]
        for scope in order:
            if _against(known[scope], canaries.readings).is_same:
                return Decision(scope, canaries, known[scope], agreement, False, agreement.is_changed)
    return Decision(next_scope, canaries, canaries, agreement, True, agreement.is_changed)


MAX_ROUNDS = 3  # in which `settle` asks a canary


def settle(first: Readings, ask_again: Callable[[Sequence[int]], Readings]) -> CanaryAnswers:
    """The majority of up to three answers to each: all are asked a second time, those that differ a third time."""
    answered = [place for place, reading in enumerate(first) if reading is not None]
    second = ask_again(answered) if answered else first
    differing = [place for place in answered if second[place] not in (None, first[place])]
    third = ask_again(differing) if differing else first
    readings = list(first)
    for place in differing:
        readings[place] = majority([first[place], second[place], third[place]])
    return CanaryAnswers(readings=tuple(readings), flips=len(differing))


def _against(before: CanaryAnswers, now: Readings, settled: int = 2) -> Agreement:
    return compare_readings(before.readings, now, flips=before.flips, settled=settled)

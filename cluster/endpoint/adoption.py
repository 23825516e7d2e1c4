"""Adoption: what version 0.1 recorded under an address or a folder's sizes answers again, once a sample of it agrees.

That version asked no canaries, so what it recorded itself is asked anew: up to 20 of the calls that a command needs.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import NamedTuple

from cluster.endpoint.contact import Asking
from cluster.endpoint.models import ModelChoice
from judge_serve.judging.canaries import NUM_CANARIES, CanaryAnswers
from judge_serve.judging.errors import EngineError
from judge_serve.judging.identity import ModelIdentity
from judge_serve.judging.judge_call import JudgeCall, call_keys
from judge_serve.judging.judge_pair import judge_pair
from judge_serve.judging.judgment import AnswerMode, Judgment
from optimize_workers.evaluation.recorded import Lookup, find_answers
from optimize_workers.evaluation.scopes import Meeting
from optimize_workers.ledger import Ledger
from optimize_workers.statistics.agreement import MIN_COMPARED, compare_readings

_IN_FLIGHT = 8


class Adopted(NamedTuple):
    """The identity whose rows answer from now on, None where they do not; what to say of it."""

    model: ModelIdentity | None
    note: str = ""


def is_adopted(choice: ModelChoice, scope: int, ledger: Ledger) -> ModelIdentity | None:
    """What version 0.1 recorded the model as, if that was found to agree with this scope."""
    if choice.former is None:
        return None
    return choice.former if choice.former.in_scope(scope) in [m.model for m in ledger.meetings(choice.former)] else None


def adopt(
    model: ModelIdentity, former: ModelIdentity, needed: Sequence[JudgeCall], ledger: Ledger, asked: Asking
) -> Adopted:
    """Ask some of what is recorded under a former identity anew; it answers for the model if that agrees.

    Args:
        model: what answers, in its scope.
        former: what version 0.1 recorded it as.
        needed: calls to the model that a command will make.
        ledger: holds what is recorded, and takes the new answers.
        asked: the model.
    """
    old = _recorded_as(former, needed, ledger)
    if len(old) < MIN_COMPARED:
        return Adopted(None)  # as many calls as a sample
    step = max(1, len(old) // NUM_CANARIES)
    sample = old[::step][:NUM_CANARIES]
    fresh = asked.run(_judge_all([call for call, _ in sample], asked))
    keys = call_keys([call for call, _ in sample])
    answered = [(key, judgment) for key, judgment in zip(keys, fresh, strict=True) if judgment is not None]
    ledger.add(answered, revision=model.revision)
    ledger.flush()  # the command that asked finds them
    agreement = compare_readings(
        [_reading(judgment) for _, judgment in sample],
        [judgment and _reading(judgment) for judgment in fresh],
        flips=None,
        settled=0,
    )
    asked_anew = f"{agreement.n} of its judgments were asked anew, {agreement.agree} agree"
    if not agreement.is_same:
        return Adopted(None, f"what version 0.1 recorded of {former.name!r} does not answer: {asked_anew}")
    ledger.add_meeting(Meeting(former.in_scope(model.scope), None, None, None, CanaryAnswers(readings=(None,))))
    return Adopted(former, f"what version 0.1 recorded of {former.name!r} answers again: {asked_anew}")


def _recorded_as(
    former: ModelIdentity, needed: Sequence[JudgeCall], ledger: Ledger
) -> list[tuple[JudgeCall, Judgment]]:
    """What only the former identity answers, of calls that have one answer; sampling has many."""
    steady = [call for call in needed if call.judge.mode is AnswerMode.EXPECTED or not call.judge.sampling.temperature]
    keys = call_keys(steady)
    known = find_answers(ledger, steady, keys)
    missing = {key: call for key, call in zip(keys, steady, strict=True) if key not in known}
    found = find_answers(ledger, list(missing.values()), list(missing), Lookup(former=former))
    return [(missing[key], judgment) for key, judgment in found.items()]


async def _judge_all(calls: Sequence[JudgeCall], asked: Asking) -> list[Judgment | None]:
    free = asyncio.Semaphore(_IN_FLIGHT)

    async def judge_one(call: JudgeCall) -> Judgment | None:
        async with free:
            try:
                return await judge_pair(call, asked.engine)
            except EngineError:  # it is judged with the others, or fails there
                return None

    return list(await asyncio.gather(*map(judge_one, calls)))


def _reading(judgment: Judgment) -> str:
    return str(judgment.invalid_reason if judgment.rating is None else judgment.rating)

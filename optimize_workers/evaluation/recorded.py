"""The layer that answers what is recorded already, has the rest judged, once each, and records it.

That a prompt was too long is an answer for one context length: it is recorded under a key of its own, see
`too_long_key`, and asked again where the context is another one.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple, Protocol

from judge_serve.judging.errors import EngineError, NoEngineError
from judge_serve.judging.identity import ModelIdentity
from judge_serve.judging.judge_call import JudgeCall, call_keys
from judge_serve.judging.judgment import InvalidReason, Judgment
from optimize_workers.evaluation.answered_by import calls_to
from optimize_workers.evaluation.layer import Layer, OnDone, all_told


class JudgmentStore(Protocol):
    """Recorded judgments by content key (32 bytes); implemented by the ledger."""

    def find(self, keys: Sequence[bytes]) -> dict[bytes, Judgment]:
        """Those that are recorded, marked `cached`."""
        ...

    def add(self, judgments: Sequence[tuple[bytes, Judgment]], *, revision: str) -> None:
        """Record judgments; the first of a key stays."""
        ...


class Lookup(NamedTuple):
    """How a store is asked beside the keys of the calls.

    Attributes:
        context_length: tokens of prompt and answer that the model takes, None where nobody says so.
        former: what the model was recorded as by an earlier version, where that is known to be the same.
    """

    context_length: int | None = None
    former: ModelIdentity | None = None


PLAIN = Lookup()


class Recorded:
    """See the module.

    Args:
        inner: judges what is not recorded; None where the store is known to hold all.
        store: what is recorded.
        lookup: how it is asked.
    """

    def __init__(self, inner: Layer | None, store: JudgmentStore, lookup: Lookup = PLAIN) -> None:
        self._inner = inner
        self._store = store
        self._lookup = lookup

    def judge(self, calls: Sequence[JudgeCall], on_done: OnDone | None = None) -> list[Judgment]:
        """See `Layer.judge`; equal calls are judged once, whoever comes later is answered as from the store."""
        keys = call_keys(calls)
        known = find_answers(self._store, calls, keys, self._lookup)
        judgments: list[Judgment | None] = [None] * len(calls)
        first_places: dict[bytes, int] = {}  # of what is asked
        repeats: dict[int, list[int]] = {}  # places of equal calls, by the first
        for place, key in enumerate(keys):
            if key in known:
                judgments[place] = _as_of(calls[place], known[key])
            elif key in first_places:
                repeats.setdefault(first_places[key], []).append(place)
            else:
                first_places[key] = place
        asked = list(first_places.values())
        if known:
            _tell(on_done, [place for place, key in enumerate(keys) if key in known], judgments)

        def record(places: Sequence[int], fresh: Sequence[Judgment]) -> None:
            arrived = [asked[place] for place in places]
            self._record([(calls[place], keys[place]) for place in arrived], fresh)
            for place, judgment in zip(arrived, fresh, strict=True):
                judgments[place] = judgment
                for repeat in repeats.get(place, ()):
                    judgments[repeat] = _as_of(calls[repeat], replace(judgment, cached=judgment.is_judged))
            _tell(on_done, [one for place in arrived for one in (place, *repeats.get(place, ()))], judgments)

        if asked:
            self._ask([calls[place] for place in asked], record)
        return all_told(judgments)

    def _ask(self, calls: Sequence[JudgeCall], record: OnDone) -> None:
        if self._inner is None:
            raise NoEngineError(f"{len(calls)} judgments are not recorded and there is no engine to ask; run it again")
        try:
            self._inner.judge(calls, record)
        except EngineError as error:
            raise error.with_advice("what was judged is recorded, the same command goes on from there") from error

    def _record(self, keyed: Sequence[tuple[JudgeCall, bytes]], judgments: Sequence[Judgment]) -> None:
        by_revision: dict[str, list[tuple[bytes, Judgment]]] = {}
        for (call, key), judgment in zip(keyed, judgments, strict=True):
            if not judgment.is_judged:  # it is asked again
                continue
            if judgment.invalid_reason is InvalidReason.PROMPT_TOO_LONG:
                key = too_long_key(key, self._lookup.context_length)
            by_revision.setdefault(call.judge.model.revision, []).append((key, judgment))
        for revision, entries in by_revision.items():
            self._store.add(entries, revision=revision)


def are_recorded(calls: Sequence[JudgeCall], store: JudgmentStore, lookup: Lookup = PLAIN) -> bool:
    """Whether the store answers all calls, with all votes of their judges, so that no engine is needed."""
    samples = [sample for call in calls for sample in call.samples()]
    keys = call_keys(samples)
    return len(find_answers(store, samples, keys, lookup)) == len(set(keys))


def find_answers(
    store: JudgmentStore, calls: Sequence[JudgeCall], keys: Sequence[bytes], lookup: Lookup = PLAIN
) -> dict[bytes, Judgment]:
    """What a store answers to calls, by their keys."""
    found = _answers(store.find(list(dict.fromkeys(keys))))
    missing = {key: call for key, call in zip(keys, calls, strict=True) if key not in found}
    if missing and lookup.former is not None:
        former = dict(zip(call_keys(calls_to(list(missing.values()), lookup.former)), missing, strict=True))
        found |= {former[key]: judgment for key, judgment in _answers(store.find(list(former))).items()}
        missing = {key: call for key, call in missing.items() if key not in found}
    if missing:
        final = {too_long_key(key, lookup.context_length): key for key in missing}
        found |= {final[key]: judgment for key, judgment in store.find(list(final)).items()}
    return found


def too_long_key(key: bytes, context_length: int | None) -> bytes:
    """Where a call's answer is recorded that its prompt is too long for a context of so many tokens."""
    return hashlib.sha256(key + f"prompt_too_long:{context_length}".encode()).digest()


def _answers(found: dict[bytes, Judgment]) -> dict[bytes, Judgment]:
    """Without those of version 0.1 that were too long for a context that nobody noted."""
    too_long = InvalidReason.PROMPT_TOO_LONG
    return {key: judgment for key, judgment in found.items() if judgment.invalid_reason is not too_long}


def _as_of(call: JudgeCall, judgment: Judgment) -> Judgment:
    """A recorded judgment as one of this call: another program may render the same prompt."""
    program, identity = call.judge.program.digest, call.judge.model.id
    if judgment.program == program and judgment.identity == identity:
        return judgment
    return judgment.recorded_for(program, identity)


def _tell(on_done: OnDone | None, places: Sequence[int], judgments: Sequence[Judgment | None]) -> None:
    if on_done:
        on_done(places, all_told([judgments[place] for place in places]))

"""The layer that answers what is recorded already, has the rest judged, once each, and records it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Protocol

from judge_serve.judging.errors import EngineError, NoEngineError
from judge_serve.judging.judge_call import JudgeCall, call_keys
from judge_serve.judging.judgment import InvalidReason, Judgment
from optimize_workers.evaluation.layer import Layer, OnDone, all_told


class JudgmentStore(Protocol):
    """Recorded judgments by content key (32 bytes); implemented by the ledger."""

    def find(self, keys: Sequence[bytes]) -> dict[bytes, Judgment]:
        """Those that are recorded, marked `cached`."""
        ...

    def add(self, judgments: Sequence[tuple[bytes, Judgment]], *, revision: str) -> None:
        """Record judgments; the first of a key stays."""
        ...


class Recorded:
    """See the module.

    Args:
        inner: judges what is not recorded; None where the store is known to hold all.
        store: what is recorded.
    """

    def __init__(self, inner: Layer | None, store: JudgmentStore) -> None:
        self._inner = inner
        self._store = store

    def judge(self, calls: Sequence[JudgeCall], on_done: OnDone | None = None) -> list[Judgment]:
        """See `Layer.judge`; equal calls are judged once, whoever comes later is answered as from the store."""
        keys = call_keys(calls)
        known = find_answers(self._store, keys)
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
            if judgment.is_judged:  # else it is asked again
                by_revision.setdefault(call.judge.model.revision, []).append((key, judgment))
        for revision, entries in by_revision.items():
            self._store.add(entries, revision=revision)


def are_recorded(calls: Sequence[JudgeCall], store: JudgmentStore) -> bool:
    """Whether the store answers all calls, with all votes of their judges, so that no engine is needed."""
    keys = set(call_keys([sample for call in calls for sample in call.samples()]))
    return len(find_answers(store, list(keys))) == len(keys)


def find_answers(store: JudgmentStore, keys: Sequence[bytes]) -> dict[bytes, Judgment]:
    """What a store answers; a prompt that was too long is asked again, a replica may have a longer context now."""
    found = store.find(list(dict.fromkeys(keys)))
    too_long = InvalidReason.PROMPT_TOO_LONG
    return {key: judgment for key, judgment in found.items() if judgment.invalid_reason is not too_long}


def _as_of(call: JudgeCall, judgment: Judgment) -> Judgment:
    """A recorded judgment as one of this call: another program may render the same prompt."""
    program = call.judge.program.digest
    return judgment if judgment.program == program else replace(judgment, program=program)


def _tell(on_done: OnDone | None, places: Sequence[int], judgments: Sequence[Judgment | None]) -> None:
    if on_done:
        on_done(places, all_told([judgments[place] for place in places]))

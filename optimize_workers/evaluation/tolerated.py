"""The layer that ends judging where more items are not judged than may be."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Sequence

from judge_serve.judging.errors import TooManyNotJudgedError
from judge_serve.judging.judge_call import JudgeCall
from judge_serve.judging.judgment import Judgment
from optimize_workers.evaluation.layer import Layer, OnDone

MIN_TOLERATED = 3  # items
TOLERATED_SHARE = 100  # one in so many, where that is more
MAX_NAMED = 20  # of the items that were not judged, in messages and results
_MAX_CAUSE_CHARS = 200


class Tolerated:
    """See the module; several judgments of an item, by several judges or repeated, count once.

    Args:
        inner: carries the calls out.
        num_items: how many there are in all.
        most: how many of them may be not judged; None is the larger of 3 and one in a hundred.
    """

    def __init__(self, inner: Layer, num_items: int, most: int | None = None) -> None:
        self._inner = inner
        self._num_items = num_items
        self._most = max(MIN_TOLERATED, num_items // TOLERATED_SHARE) if most is None else most
        self._lock = threading.Lock()
        self._missing: dict[tuple[str, str], Judgment] = {}

    def judge(self, calls: Sequence[JudgeCall], on_done: OnDone | None = None) -> list[Judgment]:
        """See `Layer.judge`.

        Raises:
            TooManyNotJudgedError: as soon as it is known; what is under way is dropped.
        """

        def look(places: Sequence[int], judgments: Sequence[Judgment]) -> None:
            if on_done:
                on_done(places, judgments)
            missing = [judgment for judgment in judgments if judgment.cause is not None]
            if missing:
                self._note(missing)

        return self._inner.judge(calls, look)

    def _note(self, missing: Sequence[Judgment]) -> None:
        with self._lock:
            self._missing |= {(judgment.query_id, judgment.doc_id): judgment for judgment in missing}
            known = list(self._missing.values())
        if len(known) > self._most:
            raise TooManyNotJudgedError(
                f"{len(known)} of {self._num_items} items were not judged, at most {self._most} may be: "
                f"{named(known)}; see to these causes, or allow more by --max-not-judged"
            )


def named(missing: Iterable[Judgment]) -> str:
    """Items that were not judged with their causes, in one line; of many the first."""
    told = list(missing)
    parts = [
        f"query_id {judgment.query_id!r}, doc_id {judgment.doc_id!r} ({(judgment.cause or '')[:_MAX_CAUSE_CHARS]})"
        for judgment in told[:MAX_NAMED]
    ]
    return "; ".join([*parts, *([f"and {len(told) - MAX_NAMED} more"] if len(told) > MAX_NAMED else [])])


def shown_items(judgments: Iterable[Judgment]) -> list[dict[str, str]]:
    """The first of the items that were not judged, with their causes, as JSON."""
    missing = {(j.query_id, j.doc_id): j.cause for j in judgments if j.cause is not None}
    told = list(missing.items())[:MAX_NAMED]
    return [{"query_id": query_id, "doc_id": doc_id, "cause": cause} for (query_id, doc_id), cause in told]

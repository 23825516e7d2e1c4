"""The review desk: the queue of a run's pairs, their state, and the actions of people on them."""

from __future__ import annotations

import unicodedata
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import cached_property
from threading import Lock
from typing import NamedTuple, Protocol

from cluster.runs.recorded import RecordedRun
from judge_serve.judging.judgment import Judgment
from judge_serve.judging.task import Example, Item
from optimize_workers.evidence.bias import BiasTable, bias_tables
from optimize_workers.evidence.disagreement import UNREADABLE, Compared, compare_pairs, sample_disagreements
from optimize_workers.evidence.suspicion import suspected_labels
from optimize_workers.guardrails import Refusal
from optimize_workers.library.reviews import (
    MAX_EXPLANATION_CHARS,
    EventKind,
    PairKey,
    Review,
    ReviewEvent,
    last_action,
    one_line,
    reviews_of,
)

ACTIONS = {
    "save": None,
    "accept": EventKind.ACCEPTED,
    "reject": EventKind.REJECTED,
    "label_wrong": EventKind.LABEL_WRONG,
}


_TO_REPLACE = "nothing was stored; act again to put what stands in the fields in its place"


class EventStore(Protocol):
    """Where events are kept; the ledger implements it."""

    def add_review_events(self, events: Sequence[ReviewEvent]) -> list[int]:
        """Store all of them at once, or none."""
        ...

    def review_events(self, run: str | None = None) -> list[ReviewEvent]:
        """The events of a run in their order."""
        ...


@dataclass(frozen=True)
class Entry:
    """A pair in the queue.

    Attributes:
        number: counts from 0.
        labels: the example that was compared; then the same item's others, where the data label it more than once.
        doubts: why its label is suspected.
    """

    number: int
    key: PairKey
    labels: tuple[Example, ...]
    judgment: Judgment
    compared: Compared
    doubts: tuple[str, ...]

    @property
    def example(self) -> Example:
        """The example that the judgment was compared with."""
        return self.labels[0]


class Written(NamedTuple):
    """What stands in the two text fields of a pair, and the number of the pair's last event when they were shown."""

    explanation: str
    bullet: str
    seen: int


class RefusedActionError(ValueError):
    """An action that cannot be done; the message says what to do instead."""


class ChangedMeanwhileError(RefusedActionError):
    """The pair is not any more what the page showed when the texts were written."""


class Desk:
    """The queue of one run for one author.

    Its order follows from the run alone: first the sampled disagreements, then other pairs whose label is suspected,
    then pairs on which something was done before.
    """

    def __init__(
        self,
        run: RecordedRun,
        store: EventStore,
        author: str,
        limit: int,
        beside: Sequence[Judgment] = (),
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        """Sample the queue.

        Args:
            run: whose pairs are reviewed.
            store: of the events.
            author: under whose name actions are stored.
            limit: disagreements at most, and as many suspected labels.
            beside: judgments of other judges on these pairs, for finding suspected labels.
            clock: tells the time, with a time zone.
        """
        self.run = run
        self.author = author
        self._store = store
        self._clock = clock
        self._lock = Lock()  # one process serves several pages at once; an action reads, checks and writes
        compared = compare_pairs(run.judgments, run.examples, run.judge.task.scale)
        doubts = suspected_labels(run.examples, [*run.judgments, *run.others, *beside])
        places = [one.place for one in sample_disagreements(compared, run.examples, limit)]
        keys = [(e.item.query_id, e.item.doc_id) for e in run.examples]
        places += _of_different_items([place for place, key in enumerate(keys) if key in doubts], run.examples)[:limit]
        reviewed = self.reviews()
        places += [place for place, key in enumerate(keys) if PairKey(str(run.path), *key) in reviewed]
        labels: defaultdict[Item, list[Example]] = defaultdict(list)
        for example in run.examples:
            labels[example.item].append(example)
        self.entries = [
            Entry(
                number,
                PairKey(str(run.path), *keys[place]),
                (own := run.examples[place], *(other for other in labels[own.item] if other is not own)),
                run.judgments[place],
                compared[place],
                doubts.get(keys[place], ()),
            )
            for number, place in enumerate(_of_different_items(places, run.examples))
        ]
        self.num_unreadable = sum(one.direction == UNREADABLE for one in compared)
        self.num_pairs = len(compared)

    def prepare(self) -> None:
        """Compute what pages need later, so that they need not wait for it: seconds on thousands of pairs."""
        _ = self.run.guard, self.bias

    @cached_property
    def bias(self) -> list[BiasTable]:
        """Where the run's judge is off on the average."""
        return bias_tables(self.run.judgments, self.run.examples, self.run.judge.task.scale)

    def events(self) -> list[ReviewEvent]:
        """What was done to this run's pairs, by anybody."""
        return self._store.review_events(str(self.run.path))

    def reviews(self) -> dict[PairKey, Review]:
        """The state of the pairs that something was done to."""
        return reviews_of(self.events())

    def refusal(self, bullet: str) -> Refusal | None:
        """Why a bullet would be refused, if it would."""
        return self.run.guard.explain(bullet) if bullet else None

    def act(self, number: int, action: str, written: Written) -> None:
        """Store what changed in the texts, and the decision, as one.

        Raises: RefusedActionError if the action is unknown or cannot be done with this bullet; ChangedMeanwhileError
            if somebody else changed the pair since it was shown, or if the same author did in another window and these
            texts would replace that. Nothing is stored then.
        """
        if action not in ACTIONS:
            raise RefusedActionError(f"unknown action {action!r}; use one of {', '.join(ACTIONS)}")
        with self._lock:
            events = self._events_of(self.entries[number], ACTIONS[action], written)
            if events:
                self._store.add_review_events(events)

    def undo(self) -> int | None:
        """Undo this author's last action on the run; returns the entry that it was on, None if there was nothing."""
        with self._lock:
            last = last_action(self.events(), self.author)
            if last is None:
                return None
            undone = replace(last, kind=EventKind.UNDONE, payload={}, at=self._clock(), number=0, undoes=last.number)
            self._store.add_review_events([undone])
        key = PairKey(last.run, last.query_id, last.doc_id)
        return next((entry.number for entry in self.entries if entry.key == key), None)

    def _events_of(self, entry: Entry, decision: EventKind | None, written: Written) -> list[ReviewEvent]:
        review = self.reviews().get(entry.key, Review())
        unseen = [event.author for event in review.events if event.number > written.seen]
        others = dict.fromkeys(author for author in unseen if author != self.author)
        if others:
            raise ChangedMeanwhileError(f"{' and '.join(others)} changed this pair meanwhile; {_TO_REPLACE}")
        events = self._changes(entry, review, written)
        if unseen and events:
            raise ChangedMeanwhileError(f"you changed this pair in another window meanwhile; {_TO_REPLACE}")
        if decision is EventKind.ACCEPTED:
            bullet = reviews_of([*review.events, *events]).get(entry.key, review).bullet
            if not bullet:
                raise RefusedActionError("there is no bullet to accept; write an explanation or a bullet first")
            refused = self.refusal(bullet)
            if refused:
                raise RefusedActionError(f"the guardrails refuse this bullet, {refused.reason}: {refused.detail}")
            events.append(self._event(entry, decision, bullet))
        elif decision is not None:
            events.append(self._event(entry, decision))
        return events

    def _changes(self, entry: Entry, review: Review, written: Written) -> list[ReviewEvent]:
        explanation = _printable(written.explanation.replace("\r\n", "\n")).strip()
        if len(explanation) > MAX_EXPLANATION_CHARS:
            raise RefusedActionError(
                f"the explanation has {len(explanation)} characters, at most {MAX_EXPLANATION_CHARS}; shorten it"
            )
        bullet = one_line(_printable(written.bullet))
        events = []
        if explanation != review.explanation:
            events.append(self._event(entry, EventKind.EXPLAINED, explanation))
        if bullet != review.bullet:
            events.append(self._event(entry, EventKind.BULLET_EDITED, bullet))
        return events

    def _event(self, entry: Entry, kind: EventKind, text: str | None = None) -> ReviewEvent:
        payload = {} if text is None else {"text": text}
        return ReviewEvent(*entry.key, entry.example.split, kind, payload, self.author, self._clock())


def _of_different_items(places: Sequence[int], examples: Sequence[Example]) -> list[int]:
    """The first place of each item."""
    first: dict[Item, int] = {}
    for place in places:
        first.setdefault(examples[place].item, place)
    return list(first.values())


def _printable(text: str) -> str:
    """A text without control characters, which not every store accepts and nobody types."""
    return "".join(sign for sign in text if sign in "\n\t" or unicodedata.category(sign) != "Cc")

"""Reviews of disagreements: what people did, as events, and the state of each pair that follows from them.

Nothing is ever changed: an action adds an event, undoing adds one that names another. `reviews_of` folds events to
states and `library_of` to the bullets that people accepted; both are pure, so that one history has one meaning.
`removal_of` are the events by which bullets leave the library; accepting or importing them again brings them back.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum
from typing import NamedTuple

from optimize_workers.library.bullets import Bullet, Source, merge_equal

MAX_LINE_CHARS = 300  # of a bullet
MAX_EXPLANATION_CHARS = 4_000


class EventKind(StrEnum):
    """What was done."""

    EXPLAINED = "explained"  # text: why the judge was wrong
    DISTILLED = "distilled"  # text: a bullet written by a model; explanation: what it was written from, if no person's
    BULLET_EDITED = "bullet_edited"  # text: the bullet
    ACCEPTED = "accepted"  # text: the bullet that was accepted
    REJECTED = "rejected"
    LABEL_WRONG = "label_wrong"
    UNDONE = "undone"  # `undoes` says what
    IMPORTED = "imported"  # text: a bullet of a file; explanation and created_at as there
    REMOVED = "removed"  # text: a bullet that left the library, accepted at this pair or imported with it as source


class Decision(StrEnum):
    """What became of a pair."""

    OPEN = "open"
    ACCEPTED = "accepted"
    REJECTED = "rejected"
    LABEL_WRONG = "label_wrong"
    REMOVED = "removed"  # its bullet was accepted and left the library later


DECISIONS = {
    EventKind.ACCEPTED: Decision.ACCEPTED,
    EventKind.REJECTED: Decision.REJECTED,
    EventKind.LABEL_WRONG: Decision.LABEL_WRONG,
}
_UNDOABLE = frozenset({EventKind.EXPLAINED, EventKind.BULLET_EDITED, *DECISIONS})
_OF_A_TEXT = frozenset({EventKind.ACCEPTED, EventKind.REMOVED})  # they hold for the bullet that they name
_OF_A_BULLET = frozenset({Decision.ACCEPTED, Decision.REMOVED})  # another bullet is open again


@dataclass(frozen=True)
class ReviewEvent:
    """One action on one pair of a run.

    Attributes:
        run: the run's folder; empty for imported bullets.
        query_id, doc_id: the pair; empty for an imported bullet without sources.
        split: of the pair.
        payload: texts, by name; empty once the document was forgotten.
        author: who did it, a person or a model.
        at: when, with a time zone.
        number: given by the store, rising; 0 before that.
        undoes: number of the event that is undone.
    """

    run: str
    query_id: str
    doc_id: str
    split: str
    kind: EventKind
    payload: Mapping[str, str]
    author: str
    at: datetime
    number: int = 0
    undoes: int | None = None

    @property
    def text(self) -> str:
        """The payload's text; empty where there is none or it was forgotten."""
        return self.payload.get("text", "")


class PairKey(NamedTuple):
    """A pair of a run."""

    run: str
    query_id: str
    doc_id: str


@dataclass(frozen=True)
class Review:
    """The state of a pair.

    Attributes:
        split: of the pair.
        explanation: why the judge was wrong, with who wrote it.
        bullet: the line made of it, with who wrote it.
        decision: of whoever decided last; a bullet that changes is open again.
        changed_at: time of the last event; None if there was none.
    """

    split: str = "train"
    explanation: str = ""
    explained_by: str = ""
    bullet: str = ""
    bullet_by: str = ""
    decision: Decision = Decision.OPEN
    decided_by: str = ""
    changed_at: datetime | None = None
    events: tuple[ReviewEvent, ...] = field(default=(), repr=False)


def reviews_of(events: Iterable[ReviewEvent]) -> dict[PairKey, Review]:
    """The state of each pair that something was done to; `events` in the order of their numbers."""
    by_pair: defaultdict[PairKey, list[ReviewEvent]] = defaultdict(list)
    for event in events:
        if event.run:
            by_pair[PairKey(event.run, event.query_id, event.doc_id)].append(event)
    return {key: _fold(own) for key, own in by_pair.items()}


def last_action(events: Sequence[ReviewEvent], author: str) -> ReviewEvent | None:
    """What this author would undo next: the last own action on a page that is not undone."""
    undone = {event.undoes for event in events}
    own = (event for event in reversed(events) if event.author == author and event.kind in _UNDOABLE)
    return next((event for event in own if event.number not in undone), None)


def library_of(events: Sequence[ReviewEvent]) -> list[Bullet]:
    """The accepted and the imported bullets, oldest first, one for each text, with all their sources."""
    found: list[Bullet] = []
    for key, review in _accepted(events):
        if review.changed_at:
            source = Source(
                query_id=key.query_id, doc_id=key.doc_id, explanation=review.explanation, split=review.split
            )
            date = review.changed_at.isoformat(timespec="seconds")
            found.append(Bullet(text=review.bullet, author=review.bullet_by, created_at=date, sources=(source,)))
    found += [_imported(event) for event in _imports(events)]
    return merge_equal(sorted(found, key=lambda bullet: bullet.created_at))


def removal_of(events: Sequence[ReviewEvent], texts: Collection[str], author: str, at: datetime) -> list[ReviewEvent]:
    """What takes these bullets out of the library: an event at each pair and import that they stand there for."""
    plain = ReviewEvent("", "", "", "train", EventKind.REMOVED, {}, author, at)
    removed = [
        replace(plain, **key._asdict(), split=review.split, payload={"text": review.bullet})
        for key, review in _accepted(events)
        if review.bullet in texts
    ]
    return removed + [
        replace(plain, query_id=one.query_id, doc_id=one.doc_id, split=one.split, payload={"text": one.text})
        for one in _imports(events)
        if one.text in texts
    ]


def one_line(text: str) -> str:
    """A text as a line of at most `MAX_LINE_CHARS`, cut at a word."""
    return _cut(" ".join(text.split()), MAX_LINE_CHARS)


def as_explanation(text: str) -> str:
    """A text as an explanation of at most `MAX_EXPLANATION_CHARS`, cut at a word."""
    return _cut(text.replace("\r\n", "\n").strip(), MAX_EXPLANATION_CHARS)


def _cut(text: str, most: int) -> str:
    return text if len(text) <= most else text[: most - 3].rsplit(maxsplit=1)[0] + "..."


def _accepted(events: Sequence[ReviewEvent]) -> Iterator[tuple[PairKey, Review]]:
    """The pairs whose bullet is in the library."""
    for key, review in reviews_of(events).items():
        if review.decision is Decision.ACCEPTED and review.bullet:
            yield key, review


def _imports(events: Sequence[ReviewEvent]) -> list[ReviewEvent]:
    """The imports that are in the library: not forgotten, and not removed after it."""
    found: dict[tuple[str, str, str], ReviewEvent] = {}
    for event in events:
        key = event.text, event.query_id, event.doc_id
        if event.kind is EventKind.IMPORTED and event.text:
            found.setdefault(key, event)
        elif event.kind is EventKind.REMOVED and not event.run:
            found.pop(key, None)
    return list(found.values())


def _fold(events: Sequence[ReviewEvent]) -> Review:
    undone = {event.undoes for event in events}
    review = Review(split=events[0].split, events=tuple(events), changed_at=events[-1].at)
    for event in events:
        if event.number not in undone:
            review = _after(review, event)
    return review


def _after(review: Review, event: ReviewEvent) -> Review:
    if event.kind in _OF_A_TEXT and event.text != review.bullet:
        return review  # what was decided upon is not what stands there: a change before it was undone
    if event.kind is EventKind.REMOVED and review.decision is Decision.ACCEPTED:
        return replace(review, decision=Decision.REMOVED, decided_by=event.author)
    if event.kind in DECISIONS:
        return replace(review, decision=DECISIONS[event.kind], decided_by=event.author)
    if event.kind is EventKind.EXPLAINED:
        explained = replace(review, explanation=event.text, explained_by=event.author)
        if review.bullet not in ("", one_line(review.explanation)):  # somebody wrote a line of its own
            return explained
        return _with_bullet(explained, one_line(event.text), event.author)
    if event.kind is EventKind.DISTILLED and not review.explanation:
        reason = as_explanation(event.payload.get("explanation", ""))
        review = replace(review, explanation=reason, explained_by="labels")
    if event.kind in (EventKind.DISTILLED, EventKind.BULLET_EDITED):
        return _with_bullet(review, one_line(event.text), event.author)
    return review


def _with_bullet(review: Review, bullet: str, author: str) -> Review:
    if bullet == review.bullet:
        return review
    decision = Decision.OPEN if review.decision in _OF_A_BULLET else review.decision
    return replace(review, bullet=bullet, bullet_by=author, decision=decision)


def _imported(event: ReviewEvent) -> Bullet:
    told = event.payload
    known = {"query_id": event.query_id, "doc_id": event.doc_id, "split": event.split}
    return Bullet(
        text=event.text,
        author=told.get("author", ""),
        created_at=told.get("created_at", ""),
        sources=(Source(**known, explanation=told.get("explanation", "")),) if event.doc_id else (),
    )

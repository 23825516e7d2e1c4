"""The lineage of a search: which candidate was made from which, and what became of it.

`lineage_of` makes a tree of the trials on validation examples and lays it out in reading order; trials on minibatches
are counted.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from optimize_workers.statistics.racing import DROP_BELOW
from optimize_workers.study import StudyResult, Trial

FULL, DROPPED, UNFINISHED = "full", "dropped", "unfinished"
_PASSED, _NOT_PASSED, _MINIBATCH = "passed", "not passed", "minibatch"  # counted, not shown


class Entry(NamedTuple):
    """A candidate in the tree, read from the top.

    Attributes:
        trial: its judging on validation examples.
        state: all of them (`FULL`), or why not: it lost its race (`DROPPED`), or nothing was decided (`UNFINISHED`).
        change: what was changed in its parent; empty if it was put together from proposals.
        merged_from: the proposals that it was put together from.
        is_winner: whether the search returned it.
        num_not_passed: proposals made from it that did not beat it on their minibatch.
        has_children: whether entries under it follow.
        num_ends: lists of children that end with it.
    """

    trial: Trial
    state: str
    change: str
    merged_from: tuple[str, ...]
    is_winner: bool
    num_not_passed: int
    has_children: bool
    num_ends: int

    @property
    def nmse(self) -> float:
        """On the examples judged, in [0, 100]."""
        return 100.0 * (1.0 - self.trial.score)


class Lineage(NamedTuple):
    """The tree in reading order, and how many trials there were of each kind.

    `num_passed` and `num_not_passed` are proposals held against their parent on a minibatch, `num_minibatches` are
    other trials on a part of the examples. No entries if nothing was judged on all validation examples.
    """

    entries: tuple[Entry, ...]
    num_full: int
    num_dropped: int
    num_unfinished: int
    num_passed: int
    num_not_passed: int
    num_minibatches: int


def lineage_of(study: StudyResult) -> Lineage:
    """The lineage of all candidates of a search; the first one judged in full is the baseline."""
    counts = Counter(map(_kind, study.trials))
    return Lineage(
        entries=tuple(_entries(study)) if counts[FULL] else (),
        num_full=counts[FULL],
        num_dropped=counts[DROPPED],
        num_unfinished=counts[UNFINISHED],
        num_passed=counts[_PASSED],
        num_not_passed=counts[_NOT_PASSED],
        num_minibatches=counts[_MINIBATCH],
    )


def _kind(trial: Trial) -> str:
    if trial.split == "val" and trial.is_full:
        return FULL
    if trial.split == "val" and "chance" in trial.origin:
        return DROPPED if trial.origin["chance"] < DROP_BELOW else UNFINISHED
    if "passed" in trial.origin:
        return _PASSED if trial.origin["passed"] else _NOT_PASSED
    return _MINIBATCH


def _entries(study: StudyResult) -> Iterator[Entry]:
    shown = [trial for trial in study.trials if _kind(trial) in (FULL, DROPPED, UNFINISHED)]
    full = [trial for trial in shown if _kind(trial) == FULL]
    shown = [full[0], *(trial for trial in shown if trial is not full[0])]
    winner = next((trial for trial in full if trial.program.digest == study.winner.digest), None)
    passed = {trial.origin.get("proposal"): trial for trial in study.trials if _kind(trial) == _PASSED}
    not_passed = Counter(_parent_digest(trial) for trial in study.trials if _kind(trial) == _NOT_PASSED)
    children = _children(shown)
    for place, num_ends in _reading_order(children):
        trial = shown[place]
        yield Entry(
            trial=trial,
            state=_kind(trial),
            change="baseline" if place == 0 else _change(trial),
            merged_from=tuple(_named(number, passed.get(number)) for number in trial.origin.get("proposals", ())),
            is_winner=trial is winner,
            num_not_passed=not_passed[trial.program.digest],
            has_children=bool(children[place]),
            num_ends=num_ends,
        )


def _children(shown: Sequence[Trial]) -> list[list[int]]:
    """Places of each trial's children; a parent stands before its children, the baseline adopts all others."""
    children: list[list[int]] = [[] for _ in shown]
    place_of: dict[str | None, int] = {}
    for place, trial in enumerate(shown):
        if place > 0:
            children[place_of.get(_parent_digest(trial), 0)].append(place)
        place_of.setdefault(trial.program.digest, place)
    return children


def _reading_order(children: Sequence[Sequence[int]]) -> Iterator[tuple[int, int]]:
    """Places and the number of lists that end there, each parent before its children; deep trees do not recurse."""
    waiting = [(0, 0)]
    while waiting:
        place, num_ends = waiting.pop()
        own = children[place]
        if not own:
            yield place, num_ends
            continue
        yield place, 0
        waiting.append((own[-1], num_ends + 1))  # the last child ends its list, and those that end with it
        waiting += [(child, 0) for child in reversed(own[:-1])]


def _parent_digest(trial: Trial) -> str | None:
    return next(iter(trial.origin.get("parents", ())), None)


def _change(trial: Trial) -> str:
    origin = trial.origin
    if "proposal" in origin:
        return f"proposal {origin['proposal']}, section {origin.get('section')}"
    if "instruction" in origin:
        return f"instruction {origin['instruction']}, demonstrations {origin.get('demonstrations')}"
    if "changed" in origin:
        return f"{origin.get('stage')} {', '.join(origin['changed'])}".strip()
    return ""


def _named(number: int, child: Trial | None) -> str:
    return f"proposal {number}" + (f" ({child.origin.get('section')})" if child else "")

"""What a GEPA search works on: lessons, proposals made from them, and candidates that race."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from judge_serve.judging.judgment import Judgment
from judge_serve.judging.program import Program
from judge_serve.judging.task import Example
from optimize_workers.evaluation.budget import Promise
from optimize_workers.guardrails import Refusal
from optimize_workers.statistics.judged_pairs import shown_scores
from optimize_workers.study import Judged


@dataclass
class Lesson:
    """A parent judged on a minibatch, from which several proposals are made; `promise` holds the parent's calls."""

    parent: Program
    minibatch: Sequence[Example]
    promise: Promise
    proposals: list[Proposal] = field(default_factory=list)
    taught: Future[Judged] | None = None


@dataclass
class Proposal:
    """A revision on its way: `outcome`, the child judged on the minibatch, is set unless nothing is to be taught.

    `promise` holds the child's calls.
    """

    number: int
    lesson: Lesson
    section: str
    promise: Promise
    outcome: Future[Judged | Refusal] | None = None


class Generation(NamedTuple):
    """Lessons that go on at the same time; `race` holds the calls of a race of their children."""

    lessons: list[Lesson]
    race: Promise


class Passed(NamedTuple):
    """A child that beat its parent on the minibatch."""

    proposal: Proposal
    program: Program
    origin: dict[str, Any]

    @property
    def parent(self) -> Program:
        """The program that was revised."""
        return self.proposal.lesson.parent


@dataclass
class Candidate:
    """What races: children put together on a base, judged on the validation examples in the race's order."""

    program: Program
    base: Program
    children: list[Passed]
    order: list[int]
    promise: Promise  # of the stage that is judged
    judgments: list[Judgment] = field(default_factory=list)
    scores: list[float] = field(default_factory=list)
    chance: float = 0.0  # to beat the best program, after the last stage that was looked at
    rest: Future[Judged] | None = None  # of the last stage

    @property
    def origin(self) -> dict[str, Any]:
        """Where the candidate came from, for `candidates.jsonl`."""
        if len(self.children) == 1 and self.program == self.children[0].program:
            come_from = self.children[0].origin
        else:
            come_from = {
                "optimizer": "gepa",
                "proposals": [child.proposal.number for child in self.children],
                "parents": [self.base.digest],
                "merged": [child.program.digest for child in self.children],
            }
        return {**come_from, "chance": round(self.chance, 3)}

    def add(self, judged: Judged) -> None:
        """Judgments of a further stage came in."""
        self.judgments += judged.judgments
        self.scores += judged.scores

    def scores_in_place(self) -> list[float]:
        """Scores in the order of the validation examples; all must be judged."""
        return [score for _, score in sorted(zip(self.order, self.scores, strict=True))]


def origin_of(proposal: Proposal, parent: Judged, child: Judged | None) -> dict[str, Any]:
    """Where a proposal came from, for `candidates.jsonl`."""
    return {
        "optimizer": "gepa",
        "proposal": proposal.number,
        "parents": [proposal.lesson.parent.digest],
        "section": proposal.section,
        "feedback": [example.item.doc_id for example in proposal.lesson.minibatch],
        "minibatch_scores": {
            "parent": shown_scores(parent.scores),
            "child": shown_scores(child.scores) if child else [],
        },
    }

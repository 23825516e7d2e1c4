"""The population of a GEPA search: programs judged on all validation examples, and who becomes a parent."""

from __future__ import annotations

import random
from dataclasses import dataclass

import numpy as np
from gepa.gepa_utils import select_program_candidate_from_pareto_front

from judge_serve.judging.program import Program

BEST_SHARE = 0.5  # of the parents that are the best program so far; the others come from the per-example Pareto front


@dataclass(eq=False)
class Member:
    """A program, its scores in the order of the validation examples, and the proposal that it came from."""

    program: Program
    scores: list[float]
    proposal: int
    num_revised: int = 0

    @property
    def mean(self) -> float:
        """Mean score on the validation examples."""
        return float(np.mean(self.scores))


class Population:
    """Members in the order in which they were added."""

    def __init__(self, seed: int) -> None:
        self._seed = seed
        self.members: list[Member] = []

    @property
    def best(self) -> Member:
        """Highest mean score; the earliest of equals."""
        return max(self.members, key=lambda member: member.mean)

    def parent(self, proposal: int) -> Member:
        """Whom a proposal starts from."""
        chance = random.Random(f"{self._seed} parent {proposal}")
        if chance.random() < BEST_SHARE:
            return self.best
        fronts: dict[int, set[int]] = {}
        for place in range(len(self.members[0].scores)):
            column = [member.scores[place] for member in self.members]
            fronts[place] = {number for number, score in enumerate(column) if score == max(column)}
        means = [member.mean for member in self.members]
        chosen: int = select_program_candidate_from_pareto_front(fronts, means, chance)
        return self.members[chosen]


def next_section(member: Member) -> str:
    """The section that the member's next revision looks at first: one after the other."""
    names = list(member.program.sections)
    member.num_revised += 1
    return names[(member.proposal + member.num_revised - 1) % len(names)]

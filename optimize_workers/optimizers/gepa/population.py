"""The population of a GEPA search: programs judged on all validation examples, and who becomes a parent."""

from __future__ import annotations

import random
from dataclasses import dataclass

import numpy as np
from gepa.gepa_utils import select_program_candidate_from_pareto_front

from judge_serve.judging.program import Program
from optimize_workers.statistics.judged_pairs import mean_score

BEST_SHARE = 0.5  # of the parents that are the best program so far; the others come from the per-example Pareto front


@dataclass(eq=False)
class Member:
    """A program and its scores in the order of the validation examples."""

    program: Program
    scores: list[float]

    @property
    def mean(self) -> float:
        """Mean score on the validation examples that it was judged on."""
        return mean_score(self.scores)


class Population:
    """Members in the order in which they were added."""

    def __init__(self, seed: int) -> None:
        self._seed = seed
        self.members: list[Member] = []

    @property
    def best(self) -> Member:
        """Highest mean score; the earliest of equals."""
        return max(self.members, key=lambda member: member.mean)

    def parent(self, number: int, leading: Program | None = None) -> Program:
        """Whom a lesson starts from: the leading program, or the best one, or a member of the Pareto front."""
        chance = random.Random(f"{self._seed} parent {number}")
        if chance.random() < BEST_SHARE:
            return leading or self.best.program
        fronts: dict[int, set[int]] = {}
        for place in range(len(self.members[0].scores)):
            # who was not judged on an example leads on it only where nobody was
            column = [-1.0 if np.isnan(member.scores[place]) else member.scores[place] for member in self.members]
            fronts[place] = {number for number, score in enumerate(column) if score == max(column)}
        means = [member.mean for member in self.members]
        chosen: int = select_program_candidate_from_pareto_front(fronts, means, chance)
        return self.members[chosen].program

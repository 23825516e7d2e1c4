"""Bullets that help only together: packs that cover all pairs, and taking apart those that win.

A pack that beats the judge as it stands although none of its members was accepted alone holds something. Parts of it
are left out in turn; what is lost most without stays, until one or two bullets are left.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from judge_serve.judging.task import Example
from optimize_workers.optimizers.bullets.judging import Chosen, SelectionJudging
from optimize_workers.optimizers.bullets.screening import covering_packs, observe
from optimize_workers.statistics.racing import paired_gains
from optimize_workers.study import Judged, Study

FIRST_EXAMPLES = 40  # training examples of the first look, after which the worse half is dropped; then twice as many
MIN_PACKS = 4  # judged on all of them
MAX_FRUITLESS = 2  # partitions in which nothing was found before the search ends
MAX_TRAIN = 200  # training examples that packs are judged on at most
PACK_EVIDENCE = 2.5  # standard errors of a pack's gain from which on it is taken apart
MEMBER_EVIDENCE = 1.5  # of what a pair loses without one of its bullets, from which on both are needed
NUM_CHUNKS = 4  # parts of a pack that are left out in turn; a pair stands in two of them at most

Pack = tuple[int, ...]


class PairSearch:
    """The search on top of what is chosen; one partition of the bullets after the other."""

    def __init__(self, study: Study, judging: SelectionJudging, chosen: Chosen) -> None:
        self._study = study
        self._judging = judging
        self._chosen = chosen
        drawn = np.random.default_rng([study.seed, 9]).permutation(len(study.data.train))[:MAX_TRAIN]
        self._train = [study.data.train[place] for place in map(int, drawn)]

    def find(self, numbers: Sequence[int], size: int) -> dict[Pack, float]:
        """Bullets, or pairs of them, that packs of at most `size` owe their gain to, with the evidence for that gain.

        What was found is taken out and the rest is divided anew, until nothing more is found.
        """
        found: dict[Pack, float] = {}
        num_fruitless = 0
        while num_fruitless < MAX_FRUITLESS:
            rest = [number for number in numbers if not any(number in unit for unit in found)]
            rng = np.random.default_rng([self._study.seed, 6, len(found), num_fruitless])
            winner = self._winner(covering_packs(rest, size, rng)) if len(rest) > 1 else None
            unit = self._take_apart(winner[0]) if winner else ()
            if winner and unit:
                found[unit] = winner[1]
            else:
                num_fruitless += 1
        return found

    def _winner(self, packs: Sequence[Pack]) -> tuple[Pack, float] | None:
        """The pack with the surest gain; the worse half is dropped after each look at twice as many examples."""
        num_examples = FIRST_EXAMPLES
        while packs:
            examples = self._train[:num_examples]
            evidence = self._evidence(packs, examples)  # none where the budget ends
            ranked = sorted(evidence, key=lambda pack: -evidence[pack])
            if ranked and len(examples) == len(self._train):
                return (ranked[0], evidence[ranked[0]]) if evidence[ranked[0]] >= PACK_EVIDENCE else None
            packs = [pack for pack in ranked[: max(MIN_PACKS, len(packs) // 2)] if evidence[pack] > 0.0]
            num_examples *= 2
        return None

    def _evidence(self, packs: Sequence[Pack], examples: Sequence[Example]) -> dict[Pack, float]:
        """Packs with their gain over what is chosen, in standard errors; nothing where the budget ends."""
        judged = self._judge([(), *packs], examples)
        if not judged:
            return {}
        base, *others = judged
        return {pack: _z(one, base) for pack, one in zip(packs, others, strict=True)}

    def _take_apart(self, pack: Pack) -> Pack:
        """The one or two bullets that a pack's gain is lost without; nothing if that is not clear."""
        while len(pack) > 1:
            chunks = [tuple(map(int, part)) for part in np.array_split(pack, min(NUM_CHUNKS, len(pack)))]
            rests = [tuple(n for n in pack if n not in chunk) for chunk in chunks]
            num_examples = len(self._train) if len(pack) <= NUM_CHUNKS else len(self._train) // 2
            judged = self._judge([pack, *rests], self._train[:num_examples])
            if not judged:
                return ()
            whole, *others = judged
            losses = [_z(whole, one) for one in others]
            ranked = sorted(range(len(chunks)), key=lambda place: -losses[place])[:2]
            if len(pack) == 2:
                return tuple(pack[place] for place in sorted(ranked) if losses[place] >= MEMBER_EVIDENCE)
            pack = tuple(number for place in sorted(ranked) for number in chunks[place])
        return pack

    def _judge(self, packs: Sequence[Pack], examples: Sequence[Example]) -> list[Judged]:
        selections = [(*self._chosen, *pack) for pack in packs]
        judged = self._judging.judge(selections, examples) or []
        for numbers, one in zip(selections, judged, strict=False):
            self._judging.record(numbers, one, {"stage": "pairs"})
        return judged


def _z(one: Judged, other: Judged) -> float:
    """Mean gain of one over the other, in standard errors."""
    observed = observe((), paired_gains(one.scores, other.scores).tolist())
    return observed.gain / float(np.sqrt(observed.variance))

"""Bullets: the program stays as it is, the search only chooses which bullets it holds, and in which order.

Each step is a small change with a test. Training examples say what is worth a try: packs of bullets are screened
(`bullet_screening`), which ranks single bullets, names those that hurt, and finds pairs that help only together.
Validation examples decide: a step adds one bullet or one pair, is raced against the judge as it stands, and is accepted
if a paired test says that it is better and it breaks no floor (`accepting`). When nothing more is accepted, added
bullets are removed that a paired test shows not to be needed, and a few other orders of the added ones are tried. The
bullets that the judge held before are part of the fixed baseline: they stay first, in their order.

What is judged next follows from judgments and from the seed, never from the order in which calls come back: a killed
search that starts anew decides the same.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import combinations

import numpy as np

from judge_serve.judging.task import Example
from optimize_workers.library.selection import Change, HarmfulBullet, Selection, Step
from optimize_workers.optimizers.bullets.judging import Chosen, SelectionJudging
from optimize_workers.optimizers.bullets.pairs import PairSearch
from optimize_workers.optimizers.bullets.race import Contender, Limits, Outcome, Race
from optimize_workers.optimizers.bullets.screening import Effect, Observation, balanced_packs, fit_effects, observe
from optimize_workers.statistics.comparison import compare
from optimize_workers.statistics.judged_pairs import judged_by_all
from optimize_workers.statistics.metrics import gold_of, losses, nmse_interval
from optimize_workers.statistics.racing import paired_gains
from optimize_workers.study import Judged, Study, StudyResult
from optimize_workers.texts.query_groups import query_groups

MAX_BULLETS = 10
LEVEL = 0.05  # of the one-sided test of a step; what is tried brings evidence of its own from train
GRADE_MARGIN = 5.0  # NMSE points that the mean loss of a human grade may rise above the baseline's
REMOVAL_MARGIN = 1.0  # NMSE points; a bullet is not needed where a test shows that the judge loses less without it
VALIDITY_LEVEL = 0.1  # of the one-sided test of a fall: three examples more that cannot be read are noise, four are not
VALIDATION_SHARE = 12  # the budget is worth at least this many full evaluations
SCREENING_SHARE = 8  # of what is left of the budget, for one screening
MINIBATCH = 16  # training examples that the packs of one replicate are judged on
OBSERVATIONS = 320  # judge calls of one screening with a bullet in the prompt, for each bullet
FULL_OBSERVATIONS = 960  # the same of all screenings: then a round in which nothing is added ends the search
FIRST_SHARE = 3  # of the budget, for the screenings before anything is added
MIN_EVIDENCE = 1.5  # standard errors of the gain on train from which on a bullet is tried on validation
CLEAR_EVIDENCE = 3.0  # the same from which on it needs no other bullet to help
HARM_EVIDENCE = 3.0  # standard errors of the loss on train from which on a bullet is named harmful
MIN_PACK = 8  # bullets judged together on top of those chosen, however few may be kept
WIDTH = 2  # changes that race for one step, where the budget is not short
MAX_ORDERS = 3  # other orders that are tried
MAX_THREADS = 64  # they wait for models


@dataclass(frozen=True)
class BulletOptimizer:
    """Choice of bullets for a program that stays as it is.

    Attributes:
        max_bullets: how many may be chosen, beyond those that the program holds already.
        level: chance that a step is accepted which changes nothing.
        grade_margin: NMSE points that the mean loss of a human grade may rise above the baseline's.
    """

    max_bullets: int = MAX_BULLETS
    level: float = LEVEL
    grade_margin: float = GRADE_MARGIN

    def run(self, study: Study) -> StudyResult:
        """See `Optimizer.run`."""
        threads = ThreadPoolExecutor(MAX_THREADS, thread_name_prefix="bullets")
        try:
            return _Search(study, self, threads).run()
        finally:
            threads.shutdown(wait=False, cancel_futures=True)
            study.budget.settle_all()


class _Search:
    def __init__(self, study: Study, options: BulletOptimizer, threads: ThreadPoolExecutor) -> None:
        self._study = study
        self._options = options
        own = study.judge.program.bullets
        self._texts = [*own, *_admitted(study)]
        self._judging = SelectionJudging(study, self._texts, threads)
        self._validation = study.validation_examples(max(4, study.budget.left // VALIDATION_SHARE))
        self._own: Chosen = tuple(range(len(own)))  # part of the fixed baseline
        self._chosen = self._own
        self._open = list(range(len(own), len(self._texts)))  # neither chosen nor harmful
        self._lost: set[Chosen] = set()  # raced against the judge as it stood and not accepted
        self._harmful: dict[int, HarmfulBullet] = {}
        self._observations: list[Observation] = []
        self._effects = [Effect(0.0, 0.0)] * len(self._texts)
        self._steps: list[Step] = []
        self._num_screenings = 0
        self._num_observed = 0  # judge calls with a bullet in the prompt, for each bullet
        self._has_searched_pairs = False

    def run(self) -> StudyResult:
        """All stages; the baseline stays where nothing is accepted."""
        study = self._study
        judged = self._judging.judge([self._chosen], self._validation)
        if judged is not None:
            limits = Limits(self._options.level, self._options.grade_margin, REMOVAL_MARGIN, VALIDITY_LEVEL)
            self._race = Race(study, self._judging, self._validation, self._chosen, judged[0], limits)
            self._judging.record(self._chosen, judged[0], {"stage": "baseline"}, is_full=True)
            self._take(Outcome(Contender(Change.BASELINE, (), self._chosen), judged[0], 0.0, 1.0, None, None))
            self._screen_first()
            while (self._add() or self._num_observed < FULL_OBSERVATIONS) and self._screen():
                pass
            self._judging.keep(0)
            self._remove()
            self._reorder()
        return StudyResult(
            winner=self._judging.program(self._chosen),
            trials=tuple(study.trials),
            refusals=dict(study.refusals),
            calls_saved=study.calls_saved,
            selection=Selection(tuple(self._steps), tuple(self._harmful.values())),
        )

    # --- adding ---

    def _add(self) -> bool:
        """Add what passes of the bullets that have evidence on train, and of pairs; False if nothing does."""
        units: dict[tuple[int, ...], float] = {
            (n,): self._effects[n].z for n in self._open if self._effects[n].z >= MIN_EVIDENCE
        }
        if not self._has_searched_pairs and self._room >= 2:  # effects are largest before anything is added
            units |= self._find_pairs([n for n in self._open if self._effects[n].z < CLEAR_EVIDENCE])
        has_added = False
        while units:
            units = {unit: z for unit, z in units.items() if len(unit) <= self._room and self._is_untried(unit)}
            width = WIDTH if self._judging.left >= self._cost_of_steps else 1
            hopeful = sorted(units, key=lambda unit: -units[unit])[:width]
            if hopeful and (self._race_for(hopeful) or self._race_for(self._together(hopeful))):
                has_added = True
            else:
                units = {unit: z for unit, z in units.items() if unit not in hopeful}
        return has_added

    def _together(self, units: Sequence[tuple[int, ...]]) -> list[tuple[int, ...]]:
        """Two single bullets each, for which there is room: what no one of them shows, both may."""
        if self._room < 2:
            return []
        pairs = [one + other for one, other in combinations(units, 2) if len(one) == len(other) == 1]
        return [pair for pair in pairs if self._is_untried(pair)]

    def _is_untried(self, unit: tuple[int, ...]) -> bool:
        """Whether a unit may still be added to what is chosen."""
        return not set(unit) & set(self._chosen) and (*self._chosen, *unit) not in self._lost

    @property
    def _added(self) -> Chosen:
        """What is chosen beyond the judge's own bullets."""
        return self._chosen[len(self._own) :]

    @property
    def _room(self) -> int:
        """Bullets that may still be added."""
        return self._options.max_bullets - len(self._added)

    @property
    def _has_room(self) -> bool:
        return bool(self._open) and self._room > 0

    @property
    def _cost_of_steps(self) -> int:
        """Judge calls that adding and removing may still take: a race and a look without it for each bullet."""
        return 2 * self._options.max_bullets * len(self._validation)

    @property
    def _pack_size(self) -> int:
        """Bullets that are judged together on top of those chosen."""
        return max(MIN_PACK, self._room)

    def _screen_first(self) -> None:
        """Screen what there is before anything is added: effects are largest then."""
        kept = self._judging.left - self._judging.left // FIRST_SHARE
        while self._num_observed < FULL_OBSERVATIONS and self._judging.left > kept and self._screen():
            pass

    def _screen(self) -> bool:
        """Judge packs on minibatches: effects of all bullets, and the names of the harmful ones.

        Returns: False if nothing may be added any more, or if the budget does not hold it.
        """
        if not self._has_room:
            return False
        train, study = self._study.data.train, self._study
        self._num_screenings += 1
        minibatch = min(MINIBATCH, len(train))
        size = min(self._pack_size, max(1, math.ceil(len(self._open) / 3)))
        cost = minibatch * (1 + math.ceil(len(self._open) / size))
        if cost > self._judging.free // 2:
            return False
        num_replicates = min(math.ceil(OBSERVATIONS / minibatch), max(1, self._judging.free // SCREENING_SHARE // cost))
        rng = np.random.default_rng([study.seed, 5, self._num_screenings])
        wave: list[tuple[Chosen, Sequence[Example]]] = []
        packs: list[tuple[int, ...]] = []
        for _ in range(num_replicates):
            drawn = [train[place] for place in sorted(map(int, rng.permutation(len(train))[:minibatch]))]
            for pack in [(), *balanced_packs(self._open, size, rng)]:
                packs.append(pack)
                wave.append(((*self._chosen, *pack), drawn))
        judged = self._judging.judge_wave(wave)
        if judged is None:
            return False
        base: Judged | None = None
        for pack, (numbers, _), one in zip(packs, wave, judged, strict=True):
            if not pack:
                base = one
                continue
            assert base is not None, "each replicate begins with what is chosen"
            self._judging.record(numbers, one, {"stage": "screening", "screening": self._num_screenings})
            self._observations.append(observe(pack, paired_gains(one.scores, base.scores).tolist()))
        self._num_observed += num_replicates * minibatch
        self._effects = fit_effects(self._observations, len(self._texts))
        for number in [n for n in self._open if self._effects[n].z <= -HARM_EVIDENCE]:
            effect = self._effects[number]
            self._harmful[number] = HarmfulBullet(self._texts[number], -100.0 * effect.gain, 100.0 * effect.error)
            self._open.remove(number)
        study.on_stage(f"screening {self._num_screenings}")
        return True

    def _find_pairs(self, numbers: Sequence[int]) -> dict[tuple[int, ...], float]:
        """Bullets that help only together, with what says so in standard errors."""
        self._has_searched_pairs = True
        kept = self._judging.kept
        self._judging.keep(self._cost_of_steps)
        found = PairSearch(self._study, self._judging, self._chosen).find(numbers, self._pack_size)
        self._judging.keep(kept)
        self._study.on_stage("search of pairs")
        return found

    def _race_for(self, units: Sequence[tuple[int, ...]]) -> bool:
        """Race the judge with one more unit each; True if one was accepted."""
        if not units:
            return False
        return self._accept([Contender(Change.ADDED, unit, (*self._chosen, *unit)) for unit in units])

    # --- removing and ordering ---

    def _remove(self) -> None:
        """Remove added bullets without which the judge is better or as good, one after the other."""
        while self._added:
            chosen = self._chosen
            found = self._race.spare(
                [Contender(Change.REMOVED, (n,), tuple(m for m in chosen if m != n)) for n in self._added]
            )
            if found is None:
                break
            self._take(found)
        self._study.on_stage("removing")

    def _reorder(self) -> None:
        """Try a few other orders of what was added."""
        rng = np.random.default_rng([self._study.seed, 7])
        drawn = [tuple(map(int, rng.permutation(self._added))) for _ in range(MAX_ORDERS - 1)]
        orders = [one for one in dict.fromkeys([self._added[::-1], *drawn]) if one != self._added]
        if orders:
            self._accept([Contender(Change.REORDERED, (), self._own + order) for order in orders])
        self._study.on_stage("ordering")

    # --- taking note ---

    def _accept(self, contenders: Sequence[Contender]) -> bool:
        found = self._race.run(contenders)
        if found is None:
            self._lost |= {contender.chosen for contender in contenders}
        else:
            self._take(found)
        return found is not None

    def _take(self, outcome: Outcome) -> None:
        """Make an accepted change, or the baseline, the judge as it stands."""
        contender, judged = outcome.contender, outcome.judged
        scale, examples = self._study.judge.task.scale, self._validation
        before = self._race.current
        self._race.chosen, self._race.current = contender.chosen, judged
        compared = compare(before.judgments, judged.judgments, examples, scale)
        own, (judgments,) = judged_by_all(examples, judged.judgments)
        loss = losses(judgments, gold_of(own), scale)
        self._steps.append(
            Step(
                change=contender.change,
                bullets=tuple(self._texts[number] for number in contender.changed),
                program=self._judging.program(contender.chosen),
                nmse=float(loss.mean()),
                ci95=nmse_interval(loss, query_groups(example.item for example in own)),
                delta_nmse=compared.delta_nmse,
                delta_ci95=compared.ci95,
                calls=self._study.budget.used,
                ground=outcome.ground,
                p_value=outcome.p_value if outcome.ground else None,
            )
        )
        self._chosen = contender.chosen
        self._open = [n for n in self._open if n not in self._chosen]
        self._judging.keep(len(self._added) * len(examples))  # for a look at the judge without each bullet


def _admitted(study: Study) -> list[str]:
    """Texts of the bullets that the guardrails let through, without those that the program holds already."""
    admitted = []
    for bullet in study.bullets:
        if bullet.text in study.judge.program.bullets:
            continue
        refusal = study.guard.explain(bullet.text)
        if refusal is None:
            admitted.append(bullet.text)
        else:
            study.refuse(refusal, {"optimizer": "bullets", "bullet": bullet.id, "text": bullet.text})
    return admitted

"""One trial at a time, our joint search makes the trials of DSPy's stage 3 of the same instructions and sets."""

from __future__ import annotations

import contextlib
import io
import logging
import random
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace
from typing import Any

import dspy
import pytest

from judge_serve.judging import Demonstration
from optimize_workers.optimizers.judging_once import JudgingOnce
from optimize_workers.optimizers.mipro.trials import JointSearch, SearchSize
from tests.builders import PROGRAM, make_examples
from tests.fakes import json_reply
from tests.unit.optimize_workers.optimizers.searches import OptimizationData, gold_of, make_study

NUM_INSTRUCTIONS, NUM_SETS = 6, 5
MINIBATCH = 8
VAL = make_examples(20, "val")


def gap_table(seed: int) -> list[list[int]]:
    """How far the judge is off with each choice; the baseline is the worst, so that nobody judges it again."""
    rng = random.Random(seed)
    table = [[rng.choice([0, 1, 1, 2, 2, 3]) for _ in range(NUM_SETS)] for _ in range(NUM_INSTRUCTIONS)]
    table[0][0] = 4
    return table


def score_of(gap: int) -> float:
    return 1.0 - (gap / 4) ** 2


def stock_trials(seed: int, num_trials: int) -> list[tuple[int, int, bool]]:
    """(instruction, set, whether on all examples) of DSPy's stage 3."""
    table, made = gap_table(seed), []

    def evaluate(program: Any, devset: Any, **_: Any) -> Any:
        instruction = int(program.signature.instructions.split()[-1])
        shown = program.demos[0].number if program.demos else 0
        made.append((instruction, shown, len(devset) == len(VAL)))
        return SimpleNamespace(score=100.0 * score_of(table[instruction][shown]))

    model = object()
    search = dspy.MIPROv2(metric=len, prompt_model=model, task_model=model, auto=None, num_candidates=6)
    search._set_random_seeds(seed)
    logging.getLogger("dspy").setLevel(logging.CRITICAL)
    with contextlib.redirect_stdout(io.StringIO()):
        search._optimize_prompt_parameters(
            dspy.Predict(dspy.Signature("query -> rating", "instruction 0")),
            {0: [f"instruction {number}" for number in range(NUM_INSTRUCTIONS)]},
            {0: [[dspy.Example(number=number)] if number else [] for number in range(NUM_SETS)]},
            evaluate,
            list(VAL),
            num_trials,
            True,
            MINIBATCH,
            5,
            seed,
        )
    return made


def our_trials(seed: int, num_trials: int, ahead: int = 1) -> list[tuple[int, int, bool]]:
    """The same of ours."""
    table = gap_table(seed)

    def shown(number: int) -> tuple[Demonstration, ...]:
        return (Demonstration(query=f"set {number}", document="d", rating=3, explanation="e"),) if number else ()

    def judge(request: Any) -> str:
        system = request.messages[0]["content"]
        instruction = next(n for n in range(NUM_INSTRUCTIONS) if f"instruction {n}." in system)
        number = int(request.messages[1]["content"].split("set ")[1][0]) if len(request.messages) > 2 else 0
        gap, gold = table[instruction][number], gold_of(request)
        return json_reply(gold + gap if gold + gap <= 5 else gold - gap)

    study = make_study(judge, data=OptimizationData(train=make_examples(5), val=VAL), budget=10_000, seed=seed - 1)
    programs = [
        [
            PROGRAM.model_copy(update={"sections": {"a": f"instruction {i}."}, "demonstrations": shown(d)})
            for d in range(NUM_SETS)
        ]
        for i in range(NUM_INSTRUCTIONS)
    ]
    with ThreadPoolExecutor(8) as threads:
        judging = JudgingOnce(study, threads)
        search = JointSearch(
            study,
            programs,
            VAL,
            SearchSize(MINIBATCH, num_trials, ahead),
            judging,
            lambda waiting: waiting.wait(),
        )
        search.run(judging.start(programs[0][0], VAL).wait())
    return [(t.origin["instruction"], t.origin["demonstrations"], t.is_full) for t in study.trials]


@pytest.mark.parametrize("num_trials", [24, 25, 7])
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_one_trial_at_a_time_makes_the_trials_of_stock(seed, num_trials):
    (_, *stock), ours = stock_trials(seed, num_trials), our_trials(seed, num_trials)  # stock's first is the baseline
    assert sum(is_full for *_, is_full in stock) == -(-num_trials // 5)
    assert ours[: len(stock)] == stock
    assert all(is_full for *_, is_full in ours[len(stock) :])


def test_several_at_once_make_other_trials_after_the_random_ones():
    one, six = our_trials(1, 24), our_trials(1, 24, ahead=6)
    assert [t for t in one if not t[2]][:5] == [t for t in six if not t[2]][:5]
    assert [t for t in one if not t[2]] != [t for t in six if not t[2]]

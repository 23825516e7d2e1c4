"""The landscape as a library of bullets: the published kinds, read from the prompt that is rendered."""

from collections import Counter

from benchmarks.bullets import search, select_greedily
from benchmarks.landscape import JUDGE, Landscape
from benchmarks.landscape_bullets import HELPFUL, HURTING, PAIRS, SIZES, bullets_in, config_of, library, names_of
from judge_serve.judging.rendering import render_system


def kinds(names):
    paired = frozenset().union(*PAIRS)
    return Counter(
        "helps" if n in HELPFUL else "hurts" if n in HURTING else "pair" if n in paired else "idle" for n in names
    )


def test_the_library_holds_what_is_published():
    bullets = library(0)
    assert len({bullet.id for bullet in bullets}) == 60
    assert kinds(names_of(tuple(bullet.text for bullet in bullets))) == {
        "helps": 8,
        "hurts": 6,
        "pair": 4,
        "idle": 42,
    }


def test_the_order_of_the_library_follows_from_the_seed():
    assert library(1) == library(1)
    assert library(1) != library(2)


def test_bullets_are_read_from_the_block_of_the_system_turn():
    texts = tuple(bullet.text for bullet in library(0)[:7])
    program = JUDGE.program.model_copy(update={"bullets": texts})
    assert bullets_in(render_system(JUDGE.task, program, JUDGE.mode)) == names_of(texts)
    assert bullets_in(render_system(JUDGE.task, JUDGE.program, JUDGE.mode)) == frozenset()


def test_what_helps_lowers_the_error_and_what_hurts_raises_it():
    landscape = Landscape(config_of(0))
    without = landscape.nmse(frozenset(), landscape.test)
    assert landscape.nmse(HELPFUL.union(*PAIRS), landscape.test) < without / 4
    assert landscape.nmse(HURTING, landscape.test) > without
    for pair in PAIRS:
        assert landscape.nmse(pair, landscape.test) < without - 1


def test_a_search_keeps_to_its_budget_and_keeps_nothing_that_hurts():
    run = search(0, 2_000)
    assert run.calls <= 2_000
    assert run.harmful_kept == 0
    assert run.test_nmse <= run.baseline_test_nmse


def test_greedy_selection_judges_all_that_is_left_in_every_step():
    greedy = select_greedily(0)
    steps = greedy.kept + 1  # the last one finds nothing better
    assert greedy.calls == SIZES["num_val"] * (1 + sum(60 - step for step in range(steps)))

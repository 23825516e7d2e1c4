"""Demonstrations on the landscape: who helps, who misleads, what they repair, and how they are read from requests."""

import math
import random
import statistics

import dspy
import pytest

from benchmarks.landscape import BASELINE, EVERY_HELPFUL, JUDGE, SCALE, Landscape, LandscapeConfig, key_of, miss
from benchmarks.landscape_demonstrations import (
    AGAIN,
    HELP,
    MISLEAD,
    TYPICAL,
    Lesson,
    Shown,
    misled,
    share_left,
)
from benchmarks.landscape_engines import LandscapeJudge, shown_in
from benchmarks.landscape_texts import FAILURES
from judge_serve.judging import Demonstration
from judge_serve.judging.judge_call import JudgeCall, build_request
from judge_serve.judging.judgment import AnswerMode
from judge_serve.judging.rendering import render_messages

LANDSCAPE = Landscape()
TRAIN, TEST = LANDSCAPE.data.train, LANDSCAPE.test
NOTHING = frozenset()


def key(example):
    return key_of(example.item.document)


def show(example, off_by=0):
    """A training example under the human's rating, or so many units off, within the scale."""
    rating = SCALE.nearest(example.gold_rating)
    return Shown(key(example), rating + off_by if rating + off_by in SCALE.ratings else rating - off_by)


def of_kind(is_typical):
    return [example for example in TRAIN if LANDSCAPE.traits(example).is_typical is is_typical]


def demonstrations(count=3):
    return tuple(
        Demonstration(
            query=e.item.query,
            document=e.item.document,
            rating=SCALE.nearest(e.gold_rating),
            explanation="Rating 1 to 5 is not what the document is about.",
        )
        for e in TRAIN[:count]
    )


def mean_size(shown):
    """Mean distance from gold, over the test examples, of what is read."""
    return statistics.fmean(abs(LANDSCAPE.read(NOTHING, key(e), shown).rating - e.gold_rating) for e in TEST)


# --- lessons ---


def test_a_second_helpful_demonstration_of_a_failure_takes_a_little_more():
    lesson = Lesson(("brief", "table"), is_helpful=True)
    assert share_left("brief", []) == 1.0
    assert share_left("brief", [lesson]) == 1 - HELP
    assert share_left("brief", [lesson, lesson]) == pytest.approx(1 - HELP - HELP * AGAIN)
    assert share_left("casual", [lesson]) == 1.0


def test_a_misleading_demonstration_adds_to_examples_that_share_a_failure_with_it():
    lesson = Lesson(("brief", "table"), is_helpful=False)
    assert misled(["table", "casual"], [lesson]) == MISLEAD
    assert misled(["table", "brief"], [lesson, lesson]) == 2 * MISLEAD
    assert misled(["casual", "steps"], [lesson]) == 0.0
    assert share_left("brief", [lesson]) == 1.0


def test_lessons_change_the_miss_before_the_difficulty():
    traits = LANDSCAPE.traits(TEST[0])
    bare = miss(NOTHING, traits)
    assert miss(NOTHING, traits, [Lesson(traits.failures, True)]) == pytest.approx(bare * (1 - HELP))
    assert miss(NOTHING, traits, [Lesson(traits.failures, False)]) == pytest.approx(bare + traits.difficulty * MISLEAD)


def test_what_rules_have_ended_needs_no_help_but_can_be_misled():
    traits = LANDSCAPE.traits(TEST[0])
    assert miss(EVERY_HELPFUL, traits, [Lesson(traits.failures, True)]) == 0.0
    assert miss(EVERY_HELPFUL, traits, [Lesson(traits.failures, False)]) == traits.difficulty * MISLEAD


# --- the judge that is shown something ---


def test_nothing_shown_changes_nothing():
    for rules in (NOTHING, EVERY_HELPFUL):
        assert LANDSCAPE.scores(rules, TEST, ()) == LANDSCAPE.scores(rules, TEST)
        configured = Landscape(LandscapeConfig(malformed_left=0.35))
        assert configured.scores(rules, TEST) == LANDSCAPE.scores(rules, TEST)


def test_seven_examples_in_ten_are_typical_whatever_can_be_seen_of_them():
    landscapes = [Landscape(LandscapeConfig(seed=seed)) for seed in range(10)]
    traits = [one.traits(example) for one in landscapes for example in one.data.train]
    assert statistics.fmean(one.is_typical for one in traits) == pytest.approx(TYPICAL, abs=0.04)
    strict = [one.is_typical for one in traits if one.sign > 0]
    assert statistics.fmean(strict) == pytest.approx(TYPICAL, abs=0.06)


def test_typical_examples_help_and_odd_ones_mislead():
    rng = random.Random(0)
    bare = mean_size(())
    for _ in range(5):
        assert mean_size([show(e) for e in rng.sample(of_kind(True), 4)]) < bare
        assert mean_size([show(e) for e in rng.sample(of_kind(False), 4)]) > bare


def test_a_typical_example_misleads_under_a_wrong_rating():
    rng = random.Random(1)
    bare = mean_size(())
    for _ in range(5):
        assert mean_size([show(e, off_by=2) for e in rng.sample(of_kind(True), 4)]) > bare


def test_a_rating_half_a_unit_off_is_not_wrong():
    halves = [e for e in of_kind(True) if not float(e.gold_rating).is_integer()][:4]
    for rounded in (math.floor, math.ceil):
        assert mean_size([Shown(key(e), rounded(e.gold_rating)) for e in halves]) < mean_size(())


@pytest.mark.parametrize(("num_shown", "expected"), [(0, 0.4), (1, 0.14), (2, 0.049), (4, 0.006)])
def test_each_demonstration_leaves_a_share_of_the_malformed_replies(num_shown, expected):
    config = LandscapeConfig(malformed_rate=0.4, malformed_left=0.35, num_test=1_000)
    landscape = Landscape(config)
    shown = [show(e) for e in landscape.data.train[:num_shown]]
    malformed = [landscape.read(NOTHING, key(e), shown).is_malformed for e in landscape.test]
    assert statistics.fmean(malformed) == pytest.approx(expected, abs=4 * (expected * (1 - expected) / 1_000) ** 0.5)


def test_demonstrations_repair_nothing_by_default():
    landscape = Landscape(LandscapeConfig(malformed_rate=0.4, num_test=1_000))
    shown = [show(e) for e in landscape.data.train[:4]]
    malformed = [landscape.read(NOTHING, key(e), shown).is_malformed for e in landscape.test]
    assert statistics.fmean(malformed) == pytest.approx(0.4, abs=0.062)


def test_the_same_examples_are_unreadable_for_every_program_if_configured_so():
    landscape = Landscape(LandscapeConfig(malformed_rate=0.4, malformed_left=0.35, malformed_by_example=True))
    shown = [show(e) for e in landscape.data.train[:2]]
    for split in (landscape.data.train, landscape.data.val, landscape.test):
        unreadable = [
            [landscape.read(rules, key(e), demonstrated).is_malformed for e in split]
            for rules, demonstrated in ((NOTHING, ()), (EVERY_HELPFUL, shown))
        ]
        assert unreadable[0] == unreadable[1]
        assert sum(unreadable[0]) == 0.4 * len(split)


def test_noise_is_drawn_anew_for_other_demonstrations():
    ended = EVERY_HELPFUL  # help plays no part
    pair = [show(e) for e in of_kind(True)[:2]]
    readings = [[LANDSCAPE.read(ended, key(e), shown).rating for e in TEST] for shown in ((), pair[:1], pair)]
    assert readings[0] != readings[1] != readings[2]


def test_readings_depend_on_seed_rules_demonstrations_and_example_only():
    shown = [show(e) for e in TRAIN[:3]]
    assert LANDSCAPE.scores(NOTHING, TEST[::-1], shown)[::-1] == Landscape().scores(NOTHING, TEST, shown)


def best_four(landscape):
    """Typical training examples that show the largest failures between them."""
    typical = [e for e in landscape.data.train if landscape.traits(e).is_typical]
    chosen = []
    for _ in range(4):
        covered = {name for e in chosen for name in landscape.traits(e).failures}
        sizes = [sum(FAILURES[name].size for name in {*landscape.traits(e).failures} - covered) for e in typical]
        chosen.append(typical[sizes.index(max(sizes))])
    return [show(e) for e in chosen]


def test_what_can_be_gained_is_what_the_docstring_says():
    landscapes = [Landscape(LandscapeConfig(seed=seed, malformed_rate=0.25, malformed_left=0.35)) for seed in range(20)]
    rng = random.Random(0)
    drawn = [[show(e) for e in rng.sample(one.data.train, 4)] for one in landscapes]
    best = [best_four(one) for one in landscapes]

    def mean_nmse(rules, shown):
        return statistics.fmean(one.nmse(rules, one.test, four) for one, four in zip(landscapes, shown, strict=True))

    assert mean_nmse(NOTHING, [()] * 20) == pytest.approx(42.2, abs=0.1)
    assert mean_nmse(NOTHING, drawn) == pytest.approx(19.1, abs=0.1)
    assert mean_nmse(NOTHING, best) == pytest.approx(12.6, abs=0.1)
    assert mean_nmse(EVERY_HELPFUL, best) == pytest.approx(1.8, abs=0.1)


# --- requests ---


@pytest.mark.parametrize("mode", AnswerMode)
def test_demonstrations_are_read_from_our_rendering(mode):
    program = BASELINE.model_copy(update={"demonstrations": demonstrations()})
    messages = render_messages(JUDGE.task, program, mode, TEST[0].item)
    assert shown_in(messages[1:-1]) == tuple(show(e) for e in TRAIN[:3])


@pytest.mark.parametrize("adapter", [dspy.JSONAdapter(), dspy.ChatAdapter()])
def test_demonstrations_are_read_from_the_renderings_of_dspy(adapter):
    signature = dspy.Signature("query, document -> rating: int, explanation", BASELINE.instruction)
    shown = [dspy.Example(**one.model_dump(), gold=2.5) for one in demonstrations()]
    messages = adapter.format(signature, shown, {"query": "q", "document": TEST[0].item.document})
    assert shown_in(messages[1:-1]) == tuple(show(e) for e in TRAIN[:3])
    assert key_of(messages[-1]["content"]) == key(TEST[0])


def test_the_judge_answers_as_the_landscape_with_the_demonstrations_of_the_request():
    judge = JUDGE.model_copy(update={"program": BASELINE.model_copy(update={"demonstrations": demonstrations()})})
    for example in TEST[:50]:
        reply = LandscapeJudge(LANDSCAPE).reply(build_request(JudgeCall(judge, example.item))).text
        read = LANDSCAPE.read(NOTHING, key(example), [show(e) for e in TRAIN[:3]])
        assert str(read.rating) in reply


def test_a_demonstration_without_a_rating_is_refused():
    turns = [{"role": "user", "content": TRAIN[0].item.document}, {"role": "assistant", "content": "Well."}]
    with pytest.raises(ValueError, match="no rating in the demonstration"):
        shown_in(turns)

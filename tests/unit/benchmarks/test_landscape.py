"""The landscape: its counts, effects that go one way, purity, and what can be gained on it."""

import itertools
import random
import statistics
from collections import Counter

import dspy
import pytest

from benchmarks.landscape import (
    BASELINE,
    EVERY_HELPFUL,
    HARMFUL,
    JUDGE,
    SCALE,
    Landscape,
    LandscapeConfig,
    failures_left,
    key_of,
    miss,
    rules_in,
)
from benchmarks.landscape_texts import FAILURES, FINE, REMARKS, RULES, SECTIONS, Kind
from judge_serve.judging import AnswerMode, Program
from judge_serve.judging.rendering import render_messages
from optimize_workers.guardrails import Guardrails

LANDSCAPE = Landscape()
EXAMPLES = (*LANDSCAPE.data.train, *LANDSCAPE.data.val)


def program_with(rules):
    """The baseline with rules at the end of their sections."""
    lines = {section: [RULES[name].text for name in rules if RULES[name].section == section] for section in SECTIONS}
    return Program(sections={name: "\n- ".join([text, *lines[name]]) for name, text in SECTIONS.items()})


def rule_sets(count, seed=0):
    """Rule sets of all sizes."""
    drawn = random.Random(seed)
    return [frozenset(drawn.sample(sorted(RULES), drawn.randint(0, len(RULES)))) for _ in range(count)]


# --- counts ---


def test_ten_rules_help_six_harm_two_pairs_help_and_four_are_idle():
    kinds = Counter(rule.kind for rule in RULES.values())
    assert kinds == {Kind.HELPS: 10, Kind.HARMS: 6, Kind.PAIR: 4, Kind.IDLE: 4}
    pairs = Counter(rule.failures for rule in RULES.values() if rule.kind is Kind.PAIR)
    assert set(pairs.values()) == {2} and len(pairs) == 2


def test_every_section_holds_eight_rules_with_some_of_every_kind():
    for section in SECTIONS:
        kinds = Counter(rule.kind for rule in RULES.values() if rule.section == section)
        assert kinds.total() == 8 and set(kinds) == set(Kind)


def test_splits_have_the_published_sizes_and_share_nothing():
    splits = [LANDSCAPE.data.train, LANDSCAPE.data.val, LANDSCAPE.test]
    assert [len(split) for split in splits] == [200, 100, 400]
    assert len({example.item.document for split in splits for example in split}) == 700


def test_every_example_belongs_to_failures_of_one_direction_with_room_to_miss():
    for example in EXAMPLES:
        traits = LANDSCAPE.traits(example)
        assert {FAILURES[name].sign for name in traits.failures} == {traits.sign}
        assert len(set(traits.failures)) == 2
        assert example.gold_rating <= 3 if traits.sign > 0 else example.gold_rating >= 3


# --- effects ---


@pytest.mark.parametrize("name", sorted(EVERY_HELPFUL))
def test_a_helpful_rule_never_raises_the_miss(name):
    for rules, example in zip(rule_sets(200), EXAMPLES, strict=False):
        traits = LANDSCAPE.traits(example)
        assert miss(rules | {name}, traits) <= miss(rules - {name}, traits)


@pytest.mark.parametrize("name", sorted(HARMFUL))
def test_a_harmful_rule_never_lowers_the_miss_and_raises_some(name):
    differences = [
        miss(rules | {name}, LANDSCAPE.traits(example)) - miss(rules - {name}, LANDSCAPE.traits(example))
        for rules, example in zip(rule_sets(200), EXAMPLES, strict=False)
    ]
    assert min(differences) == 0 < max(differences)


@pytest.mark.parametrize("name", [*(name for name, rule in RULES.items() if rule.kind is Kind.IDLE), REMARKS[0]])
def test_idle_rules_and_remarks_do_not_change_the_miss(name):
    for rules, example in zip(rule_sets(100), EXAMPLES, strict=False):
        traits = LANDSCAPE.traits(example)
        assert miss(rules | {name}, traits) == miss(rules - {name}, traits)


def test_a_pair_ends_its_failure_only_where_both_are_present():
    traits = next(traits for traits in map(LANDSCAPE.traits, EXAMPLES) if "audience" in traits.failures)
    assert "audience" in failures_left(frozenset({"role"}), traits)
    assert "audience" in failures_left(frozenset({"other role"}), traits)
    assert "audience" not in failures_left(frozenset({"role", "other role"}), traits)


def test_no_failure_is_left_where_all_helpful_rules_are_present():
    assert not any(failures_left(EVERY_HELPFUL, LANDSCAPE.traits(example)) for example in EXAMPLES)


def test_what_can_be_gained_is_what_the_docstring_says():
    landscapes = [Landscape(LandscapeConfig(seed=seed)) for seed in range(20)]
    assert statistics.fmean(one.nmse(frozenset(), one.test) for one in landscapes) == pytest.approx(23.6, abs=0.1)
    assert statistics.fmean(one.nmse(EVERY_HELPFUL, one.test) for one in landscapes) == pytest.approx(2.4, abs=0.1)


def test_an_idle_rule_changes_one_rating_in_six():
    keys = [key_of(example.item.document) for example in LANDSCAPE.test]
    changed = [
        LANDSCAPE.read(frozenset(), key).rating != LANDSCAPE.read(frozenset({name}), key).rating
        for key, name in itertools.product(keys, ["purpose", "unusual", "naming", "plainness"])
    ]
    assert statistics.fmean(changed) == pytest.approx(1 / 6, abs=0.04)


def test_the_share_of_malformed_replies_is_the_configured_one():
    landscape = Landscape(LandscapeConfig(malformed_rate=0.2))
    readings = [
        landscape.read(rules, key_of(example.item.document)) for rules in rule_sets(8) for example in landscape.test
    ]
    assert statistics.fmean(reading.is_malformed for reading in readings) == pytest.approx(0.2, abs=0.03)


# --- purity ---


def test_readings_depend_on_the_seed_the_rules_and_the_example_only():
    again = Landscape()
    for rules in rule_sets(5):
        assert LANDSCAPE.scores(rules, LANDSCAPE.test[::-1])[::-1] == again.scores(rules, again.test)


def test_another_seed_is_another_landscape():
    other = Landscape(LandscapeConfig(seed=1))
    assert {e.item.document for e in other.test}.isdisjoint({e.item.document for e in LANDSCAPE.test})


# --- texts ---


def test_rules_are_recognised_in_our_rendering():
    for rules in rule_sets(30):
        system = render_messages(JUDGE.task, program_with(rules), AnswerMode.GENERATE, EXAMPLES[0].item)[0]["content"]
        assert rules_in(system) == rules


@pytest.mark.parametrize("adapter", [dspy.JSONAdapter(), dspy.ChatAdapter()])
def test_rules_are_recognised_in_the_renderings_of_dspy(adapter):
    for rules in rule_sets(30):
        signature = dspy.Signature("query, document -> rating: int, explanation", program_with(rules).instruction)
        messages = adapter.format(signature, [], {"query": "q", "document": EXAMPLES[0].item.document})
        assert rules_in(messages[0]["content"]) == rules
        assert key_of(messages[-1]["content"]) == key_of(EXAMPLES[0].item.document)


def test_rules_are_recognised_across_line_breaks():
    assert rules_in(RULES["style"].text.replace(" ", "\n    ")) == {"style"}


def test_no_sentence_stands_in_another():
    sentences = [rule.text for rule in RULES.values()] + [*REMARKS, *SECTIONS.values(), FINE]
    sentences += [text for failure in FAILURES.values() for text in (failure.reason, failure.thought)]
    assert not [pair for pair in itertools.permutations(sentences, 2) if pair[0] in pair[1]]


def test_the_guard_has_no_reason_to_refuse_a_rule_or_a_remark():
    guard = Guardrails(SCALE, BASELINE.instruction, EXAMPLES)
    texts = [rule.text for rule in RULES.values()] + list(REMARKS)
    assert {text: guard.refusal(f"{BASELINE.instruction}\n- {text}") for text in texts} == dict.fromkeys(texts)
    assert guard.refusal(program_with(RULES).instruction) is None


def test_rules_share_no_four_words_with_what_examples_say():
    said = " ".join(
        text.lower()
        for example in EXAMPLES
        for text in (example.item.query, example.item.document, example.explanation)
    )
    for sentence in [rule.text for rule in RULES.values()] + list(REMARKS):
        words = sentence.lower().rstrip(".").split()
        assert not [words[at : at + 4] for at in range(len(words) - 3) if " ".join(words[at : at + 4]) in said]


def test_a_text_without_a_document_of_the_landscape_is_refused():
    with pytest.raises(ValueError, match="no document of the landscape"):
        key_of("hello")

"""Everything that resamples, folds or counts queries goes by the query, not by its ids: row ids change no figure."""

from dataclasses import replace

import numpy as np
import pytest

from judge_serve.judging import Item
from optimize_workers.evidence.bias import bias_tables
from optimize_workers.evidence.calibration_fit import fit_calibration
from optimize_workers.evidence.ceiling import human_ceiling
from optimize_workers.evidence.gate.adversarial import Kind, perturb
from optimize_workers.evidence.gate.check import check_gate
from optimize_workers.evidence.gate.evidence import GateEvidence, HeldOut
from optimize_workers.evidence.gate.rating_shift import Rerated, rating_shifts
from optimize_workers.evidence.ranking import ranking_consequence
from optimize_workers.evidence.repeats import measure_repeats
from optimize_workers.statistics.acceptance import chance_of_no_gain
from optimize_workers.statistics.comparison import compare, compare_fully
from optimize_workers.statistics.metrics import example_score, measure, skill_interval
from optimize_workers.statistics.resampling import MIN_GROUPS
from tests.builders import JUDGE, SCALE, make_example, make_judgment

NUM_QUERIES, NUM_DOCUMENTS = 12, 5
SPELLINGS = [
    "How do I reset {}?",
    "how do i reset {}",
    "  How do I RESET {}",
    "how do I reset {} !",
    "how do i reset, {}",
]


def examples_of(by_row):
    """Pairs of a few queries: under one id each, or a row id and a spelling for each row."""
    made = []
    for query in range(NUM_QUERIES):
        for number in range(NUM_DOCUMENTS):
            row = query * NUM_DOCUMENTS + number
            text = SPELLINGS[number if by_row else 0].format("abcdefghijklmnop"[query])
            query_id = f"r{row if by_row else query * NUM_DOCUMENTS:03}"
            gold = float((query + number) % 5 + 1)
            item = Item(text, f"document {row} of many words, evidence {gold:g}", query_id, f"d{row}")
            made.append(replace(make_example(gold), item=item, gold_ratings=(gold, float(query % 5 + 1))))
    return made


def judged(seed):
    """Judgments that miss alike within a query."""
    draw = np.random.default_rng(seed)
    of_query = draw.integers(1, 6, NUM_QUERIES)
    return [make_judgment(int(of_query[row // NUM_DOCUMENTS])) for row in range(NUM_QUERIES * NUM_DOCUMENTS)]


ONE, OTHER = judged(1), judged(2)


def scores(judgments, examples):
    return [example_score(j, e, SCALE) for j, e in zip(judgments, examples, strict=True)]


def gate_rules(examples):
    evidence = GateEvidence(measure(ONE, examples, SCALE), None, HeldOut(examples, ONE, OTHER, SCALE))
    return [rule for rule in check_gate(evidence).rules if rule.name in ("queries", "skill_low", "grades", "nmse")]


def shifts(examples):
    pairs = [pair for pair in perturb(examples, SCALE) if pair.kind is Kind.CAPITALS]
    again = [make_judgment(pair.place % 5 + 1) for pair in pairs]
    return rating_shifts(pairs, Rerated(ONE, again), examples, Rerated(OTHER, again[::-1]))


FIGURES = {
    "measure": lambda examples: measure(ONE, examples, SCALE),
    "skill": lambda examples: skill_interval(ONE, examples, SCALE),
    "compare": lambda examples: compare(ONE, OTHER, examples, SCALE),
    "compare fully": lambda examples: compare_fully(ONE, OTHER, examples, SCALE),
    "acceptance": lambda examples: chance_of_no_gain(scores(ONE, examples), scores(OTHER, examples), examples),
    "ceiling": lambda examples: human_ceiling(examples, SCALE, {"one": ONE}),
    "repeats": lambda examples: measure_repeats([ONE, OTHER], examples, SCALE),
    "calibration": lambda examples: fit_calibration(JUDGE, ONE, examples, "data").as_dict(),
    "gate": gate_rules,
}


@pytest.mark.parametrize("figure", FIGURES)
def test_row_ids_and_spellings_change_no_figure(figure):
    by_row, by_query = (FIGURES[figure](examples_of(by_row)) for by_row in (True, False))
    assert by_row == by_query


def test_shifts_and_biases_have_the_intervals_of_queries():
    by_row, by_query = (shifts(examples_of(by_row)) for by_row in (True, False))
    assert [one.ci95 for one in by_row if one.n] != [] == [one for one in by_row if one.n and one.ci95 is None]
    assert len(by_row) == len(by_query)
    tables = [bias_tables(ONE, examples_of(by_row), SCALE) for by_row in (True, False)]
    assert [row.ci95 for row in tables[0][0].rows] == [row.ci95 for row in tables[1][0].rows]


def test_sixty_row_ids_of_one_text_give_no_interval():
    examples = [replace(e, item=replace(e.item, query="one and the same")) for e in examples_of(by_row=True)]
    figures = measure(ONE, examples, SCALE)
    assert (figures.nmse_ci95, figures.skill_ci95) == ((0.0, 100.0), None)
    (rule,) = [rule for rule in gate_rules(examples) if rule.name == "queries"]
    assert "only 1 queries" in rule.reason
    assert MIN_GROUPS > 1


def test_a_query_is_no_stranger_to_itself_under_another_id():
    examples = [
        replace(e, item=replace(e.item, query="one and the same"), gold_rating=5.0) for e in examples_of(by_row=True)
    ]
    assert {pair.kind for pair in perturb(examples, SCALE)}.isdisjoint({Kind.SWAPPED, Kind.PADDED})


def test_rankings_resample_queries():
    examples = examples_of(by_row=True)
    alike = [replace(e, item=replace(e.item, query="one and the same")) for e in examples]
    lists = {e.item.query_id: [e.item.doc_id] for e in examples if e.gold_rating > 1}
    rankings = {"one": lists, "other": lists}
    apart, together = (ranking_consequence(rankings, OTHER, given, SCALE) for given in (examples, alike))
    assert apart.rankings[0].human.ci95 is not None
    assert together.rankings[0].human.ci95 is None
    assert (together.lists, together.rankings[0].human.value) == (apart.lists, apart.rankings[0].human.value)

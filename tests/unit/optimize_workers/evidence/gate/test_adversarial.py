"""The adversarial suite: which pairs are perturbed how, under ids that no real pair has."""

from collections import Counter
from dataclasses import replace

from optimize_workers.dataset.derived_ids import is_derived_from
from optimize_workers.evidence.gate.adversarial import EXPECTED, Expected, Kind, perturb
from tests.builders import SCALE, make_example
from tests.unit.optimize_workers.evidence.gate.perturbed_pairs import EXAMPLES


def test_every_kind_is_made_within_its_bound_and_of_pairs_where_it_makes_sense():
    pairs = perturb(EXAMPLES, SCALE, per_kind=12)
    assert Counter(pair.kind for pair in pairs) == dict.fromkeys(Kind, 12)
    for pair in pairs:
        gold = EXAMPLES[pair.place].gold_rating
        assert pair.example.gold_rating == gold
        if EXPECTED[pair.kind] is Expected.NOT_RISE:
            assert gold <= 3
        if EXPECTED[pair.kind] is Expected.FALL:
            assert gold >= 4


def test_no_perturbed_pair_has_the_ids_of_a_real_one_or_of_another():
    pairs = perturb(EXAMPLES, SCALE)
    ids = [(pair.example.item.query_id, pair.example.item.doc_id) for pair in pairs]
    assert len(set(ids)) == len(ids)
    assert not {e.item.doc_id for e in EXAMPLES} & {doc_id for _, doc_id in ids}
    for pair in pairs:
        assert is_derived_from(pair.example.item.doc_id, EXAMPLES[pair.place].item.doc_id)


def test_the_same_data_give_the_same_pairs_in_any_order_of_rows():
    def texts(examples):
        return {(p.kind, p.example.item.doc_id): p.example.item.document for p in perturb(examples, SCALE, per_kind=9)}

    own = {key: text for key, text in texts(EXAMPLES).items() if key[0] in (Kind.STUFFED, Kind.SHUFFLED, Kind.TYPOS)}
    turned = texts(EXAMPLES[::-1])
    assert own == {key: turned[key] for key in own}
    assert perturb(EXAMPLES, SCALE, per_kind=9) == perturb(EXAMPLES, SCALE, per_kind=9)


def test_another_seed_takes_other_pairs():
    first, second = ({p.place for p in perturb(EXAMPLES, SCALE, seed, 5)} for seed in (0, 1))
    assert first != second


def test_added_rows_move_few_pairs():
    grown = [*EXAMPLES, make_example(1.0, number=99, document="Something else. Not that. No.", split="test")]
    before, after = ({(p.kind, p.place) for p in perturb(e, SCALE, per_kind=10)} for e in (EXAMPLES, grown))
    assert len(before - after) <= len(Kind)


def test_a_swapped_query_is_another_one_that_the_document_was_not_labelled_for():
    for pair in perturb(EXAMPLES, SCALE):
        if pair.kind is Kind.SWAPPED:
            original = EXAMPLES[pair.place].item
            assert pair.example.item.query != original.query
            assert pair.example.item.document == original.document
            assert not set(pair.example.item.query.split()) & set(original.document.replace(".", "").split())


def test_one_query_can_neither_be_swapped_nor_padded():
    examples = [replace(e, item=replace(e.item, query="q", query_id="q")) for e in EXAMPLES]
    kinds = {pair.kind for pair in perturb(examples, SCALE)}
    assert kinds == set(Kind) - {Kind.SWAPPED, Kind.PADDED}


def test_nothing_is_made_of_nothing():
    assert perturb([], SCALE) == []

"""Pairs for the tests of the adversarial suite, and judges that fall for some kinds of them."""

from __future__ import annotations

from dataclasses import replace

from optimize_workers.dataset.derived_ids import SEPARATOR
from optimize_workers.evidence.gate.rating_shift import Rerated
from tests.builders import make_example, make_judgment

TEXT = "The leave is twenty weeks. Partners get eight. Ask the People team. It was reviewed in May."


def make_pairs(count=60):
    """Examples of `count` / 3 queries with words of their own; human ratings 1, 2, 3, 4, 5, 1, ..."""
    pairs = []
    for number in range(count):
        topic = f"topic{number // 3}"
        example = make_example(float(number % 5 + 1), number=number, document=f"{TEXT} About {topic}.", split="test")
        pairs.append(replace(example, item=replace(example.item, query=f"{topic} rules", query_id=topic)))
    return pairs


EXAMPLES = make_pairs()


def rerated(rate, pairs, examples=EXAMPLES):
    """A judge's replies, `rate` being a function of item and human rating."""

    def judge(example):
        return make_judgment(rate(example.item, int(example.gold_rating)))

    return Rerated([judge(e) for e in examples], [judge(p.example) for p in pairs])


def kind_of(item):
    _, separator, rest = item.doc_id.partition(SEPARATOR)
    return rest.partition(":")[0] if separator else None


def steady(_item, gold):
    return gold


def sensible(item, gold):
    return 1 if kind_of(item) == "swapped" else gold

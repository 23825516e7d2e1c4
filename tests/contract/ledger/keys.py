"""Judgments for tests of the ledger, and their content keys."""

import hashlib
from dataclasses import replace

from judge_serve.judging import AnswerMode, Judgment
from tests.builders import make_judgment

FULL = Judgment(
    query_id="q1",
    doc_id="d1",
    rating=4,
    expected_rating=3.7250000000000001,
    explanation="weil ✓ 🙂",
    invalid_reason=None,
    raw_reply='{"rating": 4}\n\t"',
    finish_reason="stop",
    program="ab" * 32,
    model="gemma-3-12b",
    mode=AnswerMode.EXPECTED,
    occurrence=7,
    prompt_tokens=1_234,
    completion_tokens=56,
    latency_s=0.125,
    digit_mass=0.97,
    identity="0123456789ab",
)


def key_of(number):
    """The key of a numbered judgment."""
    return hashlib.sha256(str(number).encode()).digest()


def numbered(*numbers, **fields):
    """Keys and judgments of numbers; the judgments tell their number in `occurrence`."""
    return [(key_of(n), replace(make_judgment(), occurrence=n, **fields)) for n in numbers]


def stored(ledger, judgment, number=1):
    """The judgment as the ledger gives it back."""
    ledger.add([(key_of(number), judgment)], revision="r")
    ledger.flush()
    return ledger.find([key_of(number)])[key_of(number)]

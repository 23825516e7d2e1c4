"""Judges, examples and judgments for tests: every argument has a plain default, so that a test names what matters."""

from __future__ import annotations

from judge_serve.judging import (
    Affine,
    AnswerMode,
    Calibration,
    Example,
    FittedOn,
    InvalidReason,
    Isotonic,
    Item,
    Judge,
    Judgment,
    ModelIdentity,
    Program,
    Scale,
)

SCALE = Scale()
PROGRAM = Program(sections={"rubric": "Rate the pair.", "care": "Be careful."})
JUDGE = Judge(program=PROGRAM, model=ModelIdentity(name="scripted"))


def make_example(
    gold: float = 3.0,
    *,
    number: int = 0,
    query_id: str | None = None,
    document: str | None = None,
    reason: str = "fits the need",
    split: str = "train",
) -> Example:
    """An example; those of different numbers differ in query, document and their ids."""
    document = document if document is not None else f"document {number} of {split}, evidence {gold:g}"
    item = Item(f"query {number} of {split}", document, query_id or f"{split}-q{number}", f"{split}-d{number}")
    return Example(item, gold, (reason,) if reason else (), split=split)


def make_examples(count: int, split: str = "train") -> tuple[Example, ...]:
    """Examples whose human ratings run 1, 2, 3, 4, 5, 1, 2, ..."""
    return tuple(make_example(float(number % 5 + 1), number=number, split=split) for number in range(count))


def make_judgment(
    rating: int | None = 3,
    *,
    expected: float | None = None,
    reason: InvalidReason = InvalidReason.NOT_JSON,
    explanation: str | None = "because",
    raw_reply: str = "reply",
    cause: str | None = None,
) -> Judgment:
    """A judgment; `None` as rating is an invalid one, for `reason`, or with a `cause` one that was not judged."""
    return Judgment(
        query_id="q",
        doc_id="d",
        rating=rating,
        expected_rating=expected,
        explanation=explanation if rating is not None else None,
        invalid_reason=reason if rating is None and cause is None else None,
        raw_reply=raw_reply,
        finish_reason="stop",
        program=PROGRAM.digest,
        model="scripted",
        mode=AnswerMode.GENERATE if expected is None else AnswerMode.EXPECTED,
        cause=cause,
    )


MISSING = make_judgment(None, cause="endpoint x answered 500 (while others were answered)")
UNCHANGED = Affine(slope=1.0, intercept=0.0)


def make_calibration(curve: Affine | Isotonic = UNCHANGED, judge: Judge = JUDGE) -> Calibration:
    """A calibration of a judge; by default a line that changes nothing."""
    fitted_on = FittedOn(dataset="data", n=40, queries=8, mode=judge.mode, judge=judge.digest)
    return Calibration(curve=curve, fitted_on=fitted_on)

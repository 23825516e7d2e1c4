"""What a row says: the pair, its human ratings and reasons, and the split if it names one."""

from __future__ import annotations

import json
import math
from decimal import Decimal
from typing import Any

from judge_serve.judging.content_key import digest_of_text
from judge_serve.judging.errors import RefusedInputError
from judge_serve.judging.scale import Scale
from judge_serve.judging.task import Example, Item
from optimize_workers.dataset.rows import Row, given_id, is_nan, refusal, require_text, storable

SPLITS = ("train", "val", "test")
ID_CHARS = 16


def to_item(row: Row) -> Item:
    """Query, document and their ids; a missing id is the digest of the text."""
    query, document = require_text(row, "query"), require_text(row, "document")
    return Item(query, document, _id_of(row, "query_id", query), _id_of(row, "doc_id", document))


def to_example(row: Row, item: Item, scale: Scale, split: str) -> Example:
    """The pair of a row with its human ratings and reasons.

    Raises: RefusedInputError with place, column and value.
    """
    ratings = tuple(_to_rating(row, "ratings", value, scale) for value in _to_list(row, "ratings"))
    given = row.values.get("rating")
    if given is not None and not (ratings and is_nan(given)):
        rating = _to_rating(row, "rating", given, scale)
    elif ratings:
        rating = sum(ratings) / len(ratings)
    else:
        raise RefusedInputError(f"column 'rating' is missing ({row.place}); labelled data needs 'rating' or 'ratings'")
    return Example(item, rating, _reasons(row), ratings, split)


def given_split(row: Row) -> str:
    """The split that a row names."""
    split = row.values.get("split")
    if split not in SPLITS:
        raise refusal(row, "split", split, f"expected one of {', '.join(SPLITS)} in every row, or no split column")
    return str(split)


def names_split(row: Row) -> bool:
    """Whether a row says which split it is in."""
    split = row.values.get("split")
    return split is not None and not is_nan(split)


def _id_of(row: Row, column: str, text: str) -> str:
    given = given_id(row, column)
    return digest_of_text(text)[:ID_CHARS] if given is None else given


def _reasons(row: Row) -> tuple[str, ...]:
    reasons = _to_list(row, "explanations") or _to_list(row, "explanation")
    for reason in reasons:
        if reason is not None and not isinstance(reason, str) and not is_nan(reason):
            raise refusal(row, "explanation", reason, "expected text")
    texts = [storable(reason.strip()) for reason in reasons if isinstance(reason, str)]
    return tuple(text for text in texts if text and text.casefold() != "nan")  # as CSV spells it


def _to_list(row: Row, column: str) -> list[Any]:
    value = row.values.get(column)
    if value is None or is_nan(value):
        return []
    if isinstance(value, str) and column in ("ratings", "explanations"):  # CSV holds lists as JSON
        try:
            value = json.loads(value)
        except (ValueError, RecursionError) as error:
            raise refusal(row, column, value, "expected a JSON list") from error
    if column == "explanation":
        return [value]
    if not isinstance(value, list):
        raise refusal(row, column, value, "expected a list")
    return value


def _to_rating(row: Row, column: str, value: object, scale: Scale) -> float:
    try:
        if isinstance(value, bool) or not isinstance(value, int | float | str | Decimal):
            raise ValueError("not a number")
        number = float(value)
    except (ValueError, OverflowError) as error:
        raise refusal(row, column, value, f"expected a number on scale {scale}") from error
    if not math.isfinite(number) or not scale.holds(number):
        raise RefusedInputError(
            f"{column} {value} is off scale {scale} for query_id {row.values.get('query_id')!r} ({row.place}); "
            f"check the {column} column"
        )
    return number

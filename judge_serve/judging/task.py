"""What is judged: a task on a scale, and the query-document pairs put to it."""

from __future__ import annotations

from dataclasses import dataclass

from pydantic import BaseModel, ConfigDict, Field

from judge_serve.judging.scale import Scale


class Task(BaseModel):
    """What the ratings mean; frozen for every optimizer."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = Field("relevance", pattern=r"^[a-z0-9][a-z0-9_.-]{0,62}$")
    description: str = Field("You judge how relevant a document is to a search query.", min_length=1, max_length=2_000)
    scale: Scale = Scale()


@dataclass(frozen=True, slots=True)
class Item:
    """A query-document pair without a rating."""

    query: str
    document: str
    query_id: str
    doc_id: str


@dataclass(frozen=True, slots=True)
class Example:
    """An item with its human rating.

    Attributes:
        gold_rating: human mean in scale units, may be fractional.
        explanations: the humans' reasons, possibly empty.
        gold_ratings: single ratings, one per rater, possibly empty.
        split: `train`, `val` or `test`.
    """

    item: Item
    gold_rating: float
    explanations: tuple[str, ...] = ()
    gold_ratings: tuple[float, ...] = ()
    split: str = "train"

    @property
    def explanation(self) -> str:
        """The first human reason, or an empty string."""
        return self.explanations[0] if self.explanations else ""

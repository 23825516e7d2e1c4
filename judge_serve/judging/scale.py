"""The rating scale: the integers allowed, their order and what each one means."""

from __future__ import annotations

import math

from pydantic import BaseModel, ConfigDict, model_validator


class Scale(BaseModel):
    """Consecutive one-digit integer ratings with one anchor each, lowest first."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    minimum: int = 1
    maximum: int = 5
    anchors: tuple[str, ...] = (
        "no meaningful connection between the document and the query",
        "marginal: touches the topic but does not help",
        "partly useful: on topic, gives part of what is needed",
        "mostly answers: the main point is there, something is missing",
        "perfect match: exactly what is looked for, complete and current",
    )

    @model_validator(mode="after")
    def _check_anchors(self) -> Scale:
        if not 0 <= self.minimum < self.maximum <= 9:
            raise ValueError(f"a scale runs over one-digit ratings, low to high, not {self.minimum}-{self.maximum}")
        if len(self.anchors) != len(self.ratings):
            raise ValueError(f"scale {self} needs {len(self.ratings)} anchors, one per rating, got {len(self.anchors)}")
        return self

    @property
    def ratings(self) -> range:
        """The allowed ratings, lowest first."""
        return range(self.minimum, self.maximum + 1)

    @property
    def width(self) -> int:
        """The widest possible miss, in rating units."""
        return self.maximum - self.minimum

    def holds(self, value: float) -> bool:
        """Whether a (possibly fractional) value lies between the lowest and the highest rating."""
        return self.minimum <= value <= self.maximum

    def nearest(self, value: float) -> int:
        """Round half up to a rating, clipped to the scale (2.5 -> 3)."""
        return min(max(math.floor(value + 0.5), self.minimum), self.maximum)

    def __str__(self) -> str:
        return f"{self.minimum}-{self.maximum}"

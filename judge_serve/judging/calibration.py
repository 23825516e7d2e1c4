"""Calibration: a monotone curve from what a judge answers to what people would have said, as plain numbers.

It is part of a release and is applied after the ledger: what is recorded is what the model said.
"""

from __future__ import annotations

from bisect import bisect_right
from itertools import pairwise
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, FiniteFloat, model_validator

from judge_serve.judging.judgment import AnswerMode
from judge_serve.judging.scale import Scale

Knot = Annotated[FiniteFloat, Field(ge=-1_000.0, le=1_000.0)]  # differences of boundless ones overflow to NaN


class Affine(BaseModel):
    """A straight line that never falls."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Literal["affine"] = "affine"
    slope: FiniteFloat = Field(ge=0.0)
    intercept: FiniteFloat

    def at(self, value: float) -> float:
        """The line at a value."""
        return self.slope * value + self.intercept


class Isotonic(BaseModel):
    """Knots that never fall, straight lines between them, level beyond the first and the last one."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Literal["isotonic"] = "isotonic"
    x: tuple[Knot, ...] = Field(min_length=1, max_length=1_000)
    y: tuple[Knot, ...] = Field(min_length=1, max_length=1_000)

    @model_validator(mode="after")
    def _check_knots(self) -> Isotonic:
        if len(self.x) != len(self.y):
            raise ValueError(f"an isotonic curve has a y for every x, not {len(self.y)} for {len(self.x)}")
        if any(left >= right for left, right in pairwise(self.x)):
            raise ValueError("the x of an isotonic curve must rise")
        if any(left > right for left, right in pairwise(self.y)):
            raise ValueError("the y of an isotonic curve must not fall")
        return self

    def at(self, value: float) -> float:
        """The curve at a value."""
        if value <= self.x[0]:
            return self.y[0]
        if value >= self.x[-1]:
            return self.y[-1]
        right = bisect_right(self.x, value)
        (x0, x1), (y0, y1) = self.x[right - 1 : right + 1], self.y[right - 1 : right + 1]
        return min(max(y0 + (y1 - y0) * (value - x0) / (x1 - x0), y0), y1)


Curve = Annotated[Affine | Isotonic, Field(discriminator="kind")]


class FittedOn(BaseModel):
    """What a calibration was fitted on, and for which judge.

    Attributes:
        dataset: fingerprint of the data.
        n: examples with a readable judgment.
        queries: how many queries they belong to.
        mode: answer mode of the judgments.
        judge: digest of the judge that gave them, see `Judge.digest`.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    dataset: str
    split: Literal["train"] = "train"
    n: int = Field(ge=1)
    queries: int = Field(ge=1)
    mode: AnswerMode
    judge: str


class Calibration(BaseModel):
    """A curve and what it was fitted on."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    curve: Curve
    fitted_on: FittedOn

    def value(self, value: float, scale: Scale) -> float:
        """The calibrated value of an expected rating or a rating, within the scale."""
        return min(max(self.curve.at(value), float(scale.minimum)), float(scale.maximum))

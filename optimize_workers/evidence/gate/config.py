"""The limits of the gate, as people set them under `[rules]`; docs/configuration.md says why the defaults are these."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field


class GateConfig(BaseModel):
    """Limits of the gate.

    Attributes:
        min_examples: held-out examples needed to say anything.
        min_queries: different queries among them; examples of one query are no independent evidence.
        max_worsening: NMSE points that the upper end of the 95 % interval of the difference may lie above 0.
        min_skill: how far a judge must beat the constant answer.
        min_skill_low: how far the lower end of the 95 % interval of its skill must.
        min_validity: share of readable judgments.
        min_of_grade: examples of a human grade below which nothing is said about the grade.
        max_grade_nmse: NMSE that no human grade may exceed; 40 is 2.5 rating units off on a scale of five.
        max_grade_worsening: NMSE points that a grade may lose.
        max_abs_bias: mean signed error allowed, in rating units.
        max_single_rating_share: share of one rating above which a judge counts as collapsed.
        max_distance_share: Wasserstein distance between the judge's and the human ratings, as a share of the distance
            that the best constant answer has; above it a judge counts as collapsed.
        max_harmful_shift: rating units that pairs of an adversarial kind may move on the average.
        min_fall: rating units that ratings must fall on the average where the query is swapped.
        max_extra_shift: rating units by which adversarial kinds may move a judge more than the one it is compared with.
        min_adversarial_validity: share of readable replies to the pairs of an adversarial kind.
        min_of_kind: pairs of an adversarial kind below which nothing is said about the kind.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    min_examples: int = Field(40, ge=1)
    min_queries: int = Field(10, ge=1)
    max_worsening: float = Field(1.0, ge=0)
    min_skill: float = 0.0
    min_skill_low: float = 0.0
    min_validity: float = Field(0.95, ge=0, le=1)
    min_of_grade: int = Field(5, ge=1)
    max_grade_nmse: float = Field(40.0, ge=0)
    max_grade_worsening: float = Field(5.0, ge=0)
    max_abs_bias: float = Field(0.5, ge=0)
    max_single_rating_share: float = Field(0.9, gt=0, le=1)
    max_distance_share: float = Field(0.75, ge=0)
    max_harmful_shift: float = Field(0.5, ge=0)
    min_fall: float = Field(0.5, ge=0)
    max_extra_shift: float = Field(0.25, ge=0)
    min_adversarial_validity: float = Field(0.8, ge=0, le=1)
    min_of_kind: int = Field(10, ge=1)

    def changed(self) -> dict[str, float]:
        """The limits that are not the usual ones, by name."""
        usual = GateConfig()
        return {name: value for name, value in self if value != getattr(usual, name)}

"""Configs of `evaluate`, `optimize` and `calibrate`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pydantic import Field, field_validator, model_validator

from cluster.endpoint.config import DEFAULT_JUDGE, DEFAULT_MODE, JudgeChoice
from cluster.runs.config import SPLIT_PATTERN, RunConfig
from judge_serve.catalogue.entries import EMBEDDED, Prices, prices_of
from judge_serve.judging.judgment import AnswerMode
from judge_serve.judging.votes import MAX_SAMPLES
from optimize_workers.evidence.gate.config import GateConfig

MAX_SEED = 2**32 - 1  # numpy's and Optuna's, which gets one more


class EvaluateConfig(JudgeChoice, RunConfig):
    """Config of `evaluate`.

    Attributes:
        repeats: how often each example is judged, to see the noise; once by default.
        temperature: in place of the judge file's.
        rankings: ranked lists of the judged pairs, to be evaluated under human and judge labels.
        k: rank that their NDCG stops at.
    """

    data: str
    split: str = Field("test", pattern=SPLIT_PATTERN)
    limit: int | None = Field(None, ge=1)
    repeats: int | None = Field(None, ge=2, le=MAX_SAMPLES)
    temperature: float | None = Field(None, ge=0.0, le=2.0)
    rankings: str | None = None
    k: int = Field(10, ge=1)

    @model_validator(mode="after")
    def _check_temperature(self) -> EvaluateConfig:
        if self.temperature is not None and self.release is not None:
            raise ValueError("--temperature cannot be given beside --release, which holds it")
        return self


class OptimizeConfig(RunConfig):
    """Config of `optimize`.

    Attributes:
        budget: judge calls of the search, on train and val.
        max_tokens: prompt and completion tokens of the search, of judging and reflecting.
        max_usd: the same in US dollars.
        price: US dollars per million tokens by model name, over those of the catalogue.
        limit: held-out examples that baseline and winner are compared on at most; 0 is all.
        bullets: file that optimizer `bullets` chooses from; the library by default.
        max_bullets: how many may be chosen, beyond those that the judge holds already.
        calibrate: calibrate the winner on train before the test split is opened, with judge calls beside the budget.
        rules: limits of the gate.
    """

    data: str
    optimizer: str
    judge: Path = DEFAULT_JUDGE
    model: str = EMBEDDED
    reflection_model: str | None = None
    mode: AnswerMode = DEFAULT_MODE
    budget: int = Field(300, ge=1)
    max_tokens: int | None = Field(None, ge=1)
    max_usd: float | None = Field(None, gt=0)
    price: dict[str, Prices] = Field({})
    seed: int = Field(0, ge=0, lt=MAX_SEED)
    limit: int = Field(200, ge=0)
    bullets: Path | None = None
    max_bullets: int | None = Field(None, ge=1)
    calibrate: bool = False
    rules: GateConfig = GateConfig()

    @model_validator(mode="after")
    def _check_bullets(self) -> OptimizeConfig:
        given = [f"--{key.replace('_', '-')}" for key in ("bullets", "max_bullets") if getattr(self, key) is not None]
        if given and self.optimizer != "bullets":
            raise ValueError(f"{' and '.join(given)} cannot be given to optimizer {self.optimizer!r}; use 'bullets'")
        return self

    @field_validator("price", mode="before")
    @classmethod
    def _read_prices(cls, given: Any) -> Any:
        if not isinstance(given, list):
            return given
        prices = {}
        for text in given:
            name, _, amounts = str(text).rpartition("=")
            prompt, _, completion = amounts.partition("/")
            try:
                prices[name] = {"prompt": float(prompt), "completion": float(completion)}
            except ValueError as error:
                raise ValueError(f"{text!r} is no price, write NAME=PROMPT/COMPLETION, such as o3=2/8") from error
        return prices

    def prices_of(self, model: str) -> Prices | None:
        """What the tokens of a model cost, None if nobody said so."""
        return self.price.get(model) or prices_of(model)


class CalibrateConfig(JudgeChoice, RunConfig):
    """Config of `calibrate`; `limit` bounds the examples of each split, `method` is one of `calibrating.Method`."""

    data: str
    limit: int | None = Field(None, ge=1)
    method: str = Field("auto", pattern="^(auto|affine|isotonic|none)$")

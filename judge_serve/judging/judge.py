"""The judge: task + program + model + sampling + answer mode, as plain data."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache

from pydantic import BaseModel, ConfigDict, Field, model_validator

from judge_serve.judging.content_key import digest_of
from judge_serve.judging.identity import ModelIdentity
from judge_serve.judging.judgment import AnswerMode
from judge_serve.judging.parsing import MIN_DIGIT_MASS
from judge_serve.judging.program import Program
from judge_serve.judging.task import Task
from judge_serve.judging.votes import Votes


class Sampling(BaseModel):
    """Decoding settings of the free-text modes; `expected` always reads one greedy token."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    temperature: float = Field(0.0, ge=0.0, le=2.0)
    max_tokens: int = Field(128, ge=8, le=8_192)
    frequency_penalty: float = Field(0.0, ge=0.0, le=2.0)
    seed: int = 0


def check_demonstrations(program: Program, task: Task) -> None:
    """Raise ValueError if a demonstration shows a rating that the task's scale does not hold."""
    off_scale = [shown.rating for shown in program.demonstrations if shown.rating not in task.scale.ratings]
    if off_scale:
        raise ValueError(f"demonstration ratings {off_scale} are off scale {task.scale}")


def check_explanations(program: Program, mode: AnswerMode) -> None:
    """Raise ValueError if a demonstration lacks the explanation that a reply in the mode holds."""
    if mode is AnswerMode.EXPECTED:
        return
    unexplained = [number for number, shown in enumerate(program.demonstrations, 1) if not shown.explanation]
    if unexplained:
        raise ValueError(
            f"demonstrations {unexplained} have no explanation, which replies in mode '{mode}' hold; "
            "add one to each, or judge in mode 'expected'"
        )


def check_votes(votes: Votes | None, sampling: Sampling, mode: AnswerMode) -> None:
    """Raise ValueError if all samples of a judge that votes would be the same."""
    if votes is None:
        return
    if mode is AnswerMode.EXPECTED:
        raise ValueError("votes need replies that differ, mode 'expected' reads one greedy token; use another mode")
    if sampling.temperature == 0.0:
        raise ValueError("votes need replies that differ; set sampling.temperature above 0")


class Judge(BaseModel):
    """Everything that decides a judgment, as plain data.

    Attributes:
        min_digit_mass: in mode `expected`, the probability that the scale's digits must have for a valid judgment.
        control_tokens: tokens that steer the model and that the general rule of `rendering.escape` leaves whole; they
            are broken in texts too.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    task: Task = Task()
    program: Program
    model: ModelIdentity
    sampling: Sampling = Sampling()
    mode: AnswerMode = AnswerMode.GENERATE
    # the usual values are left out, so that judges keep the digests of earlier versions
    votes: Votes | None = Field(None, exclude_if=lambda votes: votes is None)
    min_digit_mass: float = Field(MIN_DIGIT_MASS, ge=0.0, le=1.0, exclude_if=lambda mass: mass == MIN_DIGIT_MASS)
    control_tokens: tuple[str, ...] = Field((), exclude_if=lambda tokens: not tokens)

    @property
    def digest(self) -> str:
        """SHA-256 over the canonical JSON of all that decides a judgment."""
        return digest_of(self.model_dump(mode="json"))

    @property
    def max_completion_tokens(self) -> int:
        """The most tokens that a visible reply may have."""
        return 1 if self.mode is AnswerMode.EXPECTED else self.sampling.max_tokens

    def __reduce__(self) -> tuple[Callable[[str], Judge], tuple[str]]:
        """Sent to other processes as JSON; one that got this judge before goes on with the object that it has."""
        return _received, (self.model_dump_json(),)

    @model_validator(mode="after")
    def _check_demonstrations(self) -> Judge:
        check_demonstrations(self.program, self.task)
        check_explanations(self.program, self.mode)
        check_votes(self.votes, self.sampling, self.mode)
        return self


@lru_cache(maxsize=256)
def _received(text: str) -> Judge:
    """The judge of a JSON text, one object each: what is derived from a judge is kept with it."""
    return Judge.model_validate_json(text)

"""The judge file (TOML): task wording, scale anchors and the prompt that serves as baseline."""

from __future__ import annotations

import tomllib
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from judge_serve.judging.errors import RefusedInputError
from judge_serve.judging.identity import ModelIdentity
from judge_serve.judging.judge import (
    Judge,
    Sampling,
    check_demonstrations,
    check_explanations,
    check_votes,
)
from judge_serve.judging.judgment import AnswerMode
from judge_serve.judging.parsing import MIN_DIGIT_MASS
from judge_serve.judging.program import Program
from judge_serve.judging.task import Task
from judge_serve.judging.votes import Votes


class JudgeFile(BaseModel):
    """A judge without its model: what a person writes and keeps under version control."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    task: Task = Task()
    program: Program
    sampling: Sampling = Sampling()
    votes: Votes | None = None
    min_digit_mass: float = Field(MIN_DIGIT_MASS, ge=0.0, le=1.0)

    @model_validator(mode="after")
    def _check_demonstrations(self) -> JudgeFile:
        check_demonstrations(self.program, self.task)
        return self

    def judge(self, model: ModelIdentity, mode: AnswerMode, control_tokens: tuple[str, ...] = ()) -> Judge:
        """This judge on a model, in an answer mode; the tokens are the model's, see `Judge`.

        Raises: RefusedInputError if a demonstration lacks the explanation that replies in the mode hold, or votes would
            all be the same.
        """
        try:
            check_explanations(self.program, mode)
            check_votes(self.votes, self.sampling, mode)
        except ValueError as error:
            raise RefusedInputError(f"judge file: {error}") from error
        return Judge(
            task=self.task,
            program=self.program,
            model=model,
            sampling=self.sampling,
            mode=mode,
            votes=self.votes,
            min_digit_mass=self.min_digit_mass,
            control_tokens=control_tokens,
        )


def load_judge_file(path: Path) -> JudgeFile:
    """Read and check a judge file.

    Raises: RefusedInputError naming the file, the key and what is wrong.
    """
    try:
        return JudgeFile.model_validate(tomllib.loads(path.read_text(encoding="utf-8")))
    except FileNotFoundError as error:
        raise RefusedInputError(f"{path}: no such judge file; give one with --judge FILE") from error
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise RefusedInputError(f"{path}: {where}: {first['msg']}") from error
    except (OSError, ValueError) as error:  # unreadable file, bad UTF-8, bad TOML
        raise RefusedInputError(f"{path}: not a readable judge file ({error})") from error

"""Which judge a command runs, and how to reach its model."""

from __future__ import annotations

from cluster.endpoint.config import DEFAULT_JUDGE, DEFAULT_MODE, JudgeChoice
from cluster.endpoint.models import ModelChoice, resolve_model
from cluster.registry import resolve_release
from judge_serve.catalogue.entries import EMBEDDED
from judge_serve.judging.errors import RefusedInputError
from judge_serve.judging.judge_file import load_judge_file
from judge_serve.judging.release import Release


def judge_to_run(config: JudgeChoice) -> tuple[Release, ModelChoice]:
    """The release that `--release` names, or the judge file on `--model`; and how to reach its model."""
    if config.release is None:
        choice = resolve_model(config.model or EMBEDDED)
        file = load_judge_file(config.judge or DEFAULT_JUDGE)
        judge = file.judge(choice.identity, config.mode or DEFAULT_MODE, choice.control_tokens)
        return Release(name=judge.task.name, judge=judge), choice
    release = resolve_release(config.release).release
    return release, choice_for(release, config.model)


def choice_for(release: Release, location: str | None = None) -> ModelChoice:
    """How to reach the model that a release was made for.

    Args:
        release: names the model and its revision.
        location: where the model is (`--model`), needed where the name alone does not tell, as for a folder.

    Raises: RefusedInputError if this machine knows the model by another name or revision.
    """
    model = release.judge.model
    if location is None and model.revision.startswith("folder:"):
        raise RefusedInputError(
            f"release {release.id} was made for a model folder {model.name!r}; say where by --model"
        )
    named = f"{model.revision}#{model.name}" if "://" in model.revision else model.name
    choice = resolve_model(location or named)
    if choice.identity != model:
        raise RefusedInputError(
            f"release {release.id} was made for {model.name} revision {model.revision}, "
            f"here it is {choice.identity.name} revision {choice.identity.revision}; adapt the judge to this model"
        )
    return choice

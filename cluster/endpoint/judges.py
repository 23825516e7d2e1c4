"""Which judge a command runs, and how to reach its model; a model is what answers, its address is configuration."""

from __future__ import annotations

from typing import Any, NamedTuple

from cluster.endpoint.config import DEFAULT_JUDGE, DEFAULT_MODE, JudgeChoice
from cluster.endpoint.meeting import contacted, met_before
from cluster.endpoint.models import ModelChoice, resolve_model
from cluster.progress import Progress
from cluster.registry import Registry, resolve_release
from judge_serve.catalogue.entries import EMBEDDED
from judge_serve.catalogue.same_model import differences
from judge_serve.judging.errors import RefusedInputError
from judge_serve.judging.identity import ENDPOINT, ModelIdentity
from judge_serve.judging.judge_file import load_judge_file
from judge_serve.judging.release import Release
from judge_serve.serving.home import home

_FOLDERS = ("folder:", "content:")


class JudgeToRun(NamedTuple):
    """A judge, and how to reach its model."""

    release: Release
    choice: ModelChoice

    def as_dict(self, *, is_release: bool = True) -> dict[str, Any]:
        """As plans show it; the id of what is no release yet shows once its endpoint says what it is."""
        release, choice = self
        program, votes = release.judge.program, release.judge.votes
        judge = {
            "release": release.id if is_release or choice.endpoint is None else None,
            "name": release.name,
            "mode": str(release.judge.mode),
            "bullets": len(program.bullets),
            "demonstrations": len(program.demonstrations),
            "votes": votes.num_samples if votes else None,
        }
        return {"judge": judge, "model": choice.as_dict()}


def judge_to_run(config: JudgeChoice, *, read_only: bool = False) -> JudgeToRun:
    """The release that `--release` names, or the judge file on `--model`; and how to reach its model.

    What an endpoint shows of itself is not part of it yet, see `reach_judge`. `read_only` is as in `release_named`.
    """
    if config.release is None:
        choice = resolve_model(config.model or EMBEDDED)
        file = load_judge_file(config.judge or DEFAULT_JUDGE)
        judge = file.judge(choice.identity, config.mode or DEFAULT_MODE, choice.control_tokens)
        return JudgeToRun(Release(name=judge.task.name, judge=judge), choice)
    release = release_named(config.release, read_only=read_only)
    return JudgeToRun(release, choice_for(release, config.model))


def release_named(reference: str, *, read_only: bool = False) -> Release:
    """The release that an id, alias or path names, a file being registered unless `read_only`.

    Raises: RefusedInputError if there is none.
    """
    return resolve_release(reference, Registry(home(), read_only=read_only)).release


def reach_judge(
    config: JudgeChoice, release: Release, choice: ModelChoice, progress: Progress
) -> tuple[Release, ModelChoice]:
    """What `judge_to_run` found, once its endpoint was asked what it is."""
    if config.release is not None:
        return release, reach_model(release, choice, progress)
    choice = contacted(choice, progress)
    if choice.identity == release.judge.model:
        return release, choice
    return Release(name=release.name, judge=release.judge.model_copy(update={"model": choice.identity})), choice


def reach_model(release: Release, choice: ModelChoice, progress: Progress) -> ModelChoice:
    """The choice once its endpoint was asked what it is.

    Raises: RefusedInputError if that is not the model of the release; EngineError if nothing answers.
    """
    choice = contacted(choice, progress)
    _check_same(release, choice)
    return choice


def choice_for(release: Release, location: str | None = None) -> ModelChoice:
    """How to reach the model that a release was made for.

    Args:
        release: names the model.
        location: where the model is (`--model`), needed where the name alone does not tell, as for a folder.

    Raises: RefusedInputError if what is there is another model by name or weights.
    """
    choice = resolve_model(location or location_of(release))
    _check_same(release, choice)
    return choice


def location_of(release: Release) -> str:
    """Where the model is as far as this machine knows: by its name, or where it answered last."""
    model = release.judge.model
    if model.revision.startswith(_FOLDERS):
        raise RefusedInputError(
            f"release {release.id} was made for a model folder {model.name!r}; say where by --model"
        )
    if model.address is not None:
        return f"{model.address}#{model.name}"
    if model.revision != ENDPOINT:
        return model.name
    addresses = [meeting.address for meeting in met_before(model) if meeting.address]
    if not addresses:
        raise RefusedInputError(
            f"release {release.id} was made for {model.words} behind an endpoint, which this ledger has not met; "
            f"say where by --model http(s)://host/v1#{model.name}"
        )
    return f"{addresses[-1]}#{model.name}"


def told_apart(release: Release, choice: ModelChoice) -> list[str]:
    """What says that a choice is not the model of a release, as far as it is known."""
    wanted = release.judge.model
    told = differences(wanted, choice.identity)
    if wanted.revision.startswith("folder:") and not _is_folder_of(wanted, choice):
        told.append(f"the folder is not the one that was {wanted.revision}")
    return told


def _check_same(release: Release, choice: ModelChoice) -> None:
    wanted, found, told = release.judge.model, choice.identity, told_apart(release, choice)
    if told:
        raise RefusedInputError(
            f"release {release.id} was made for {wanted.words}, here it is {found.words}: {'; '.join(told)}; "
            "adapt the judge to this model, or say by --model where the release's own is"
        )


def _is_folder_of(wanted: ModelIdentity, choice: ModelChoice) -> bool:
    """Whether a folder is the one that version 0.1 saw; an endpoint may serve it, which nobody can tell."""
    return choice.endpoint is not None or (choice.former is not None and choice.former.revision == wanted.revision)

"""`check`: whether the model of a release answers as it did when the release was made; for cron."""

from __future__ import annotations

from contextlib import ExitStack
from typing import Any

from cluster.endpoint.config import CheckConfig
from cluster.endpoint.contact import ask_patiently, asking
from cluster.endpoint.judges import JudgeToRun, location_of, release_named, told_apart
from cluster.endpoint.meeting import contacted, met_before, vllm_version
from cluster.endpoint.models import ModelChoice, resolve_model
from cluster.endpoint.session import open_session
from cluster.progress import Progress
from judge_serve.judging.canaries import CANARY_SET, NUM_CANARIES, CanaryAnswers
from judge_serve.judging.errors import RefusedInputError
from judge_serve.judging.release import Release
from judge_serve.serving.home import home
from optimize_workers.evaluation.scopes import MAX_ROUNDS, settle
from optimize_workers.statistics.agreement import Agreement, compare_readings


def plan_check(config: CheckConfig) -> dict[str, Any]:
    """Whose canaries would be asked, and whether the model is another one already by its name or weights."""
    judge = _judge_to_check(config, read_only=True)
    told = told_apart(*judge)
    if not told:
        _before(judge.release)
    return {
        **judge.as_dict(),
        "canaries": {"at_most": 0 if told else MAX_ROUNDS * NUM_CANARIES},
        "differences": told,
    }


def _judge_to_check(config: CheckConfig, *, read_only: bool = False) -> JudgeToRun:
    release = release_named(config.release, read_only=read_only)
    return JudgeToRun(release, resolve_model(config.model or location_of(release)))


def run_check(config: CheckConfig, progress: Progress) -> dict[str, Any]:
    """Ask the canaries of a release's model again; writes nothing.

    Returns: `same` (None where that could not be measured), what differs, the agreement, what to do next.
    """
    release, choice = _judge_to_check(config)
    told = told_apart(release, choice)
    if not told:
        choice = contacted(choice, progress)
        told = told_apart(release, choice)
    agreement = None if told else _agreement(release, choice, progress)
    same: bool | None = False if told else None
    if agreement is not None and agreement.is_measured:
        same = agreement.is_same
    return {
        "release": release.id,
        "model": release.judge.model.name,
        "address": choice.address,
        "same": same,
        "differences": told or ([agreement.words] if agreement and agreement.is_changed else []),
        "canaries": agreement.as_dict() if agreement else None,
        "made_with": release.judge.model.words,
        "answers_now": choice.identity.words,
        "vllm": choice.contact.version if choice.contact else vllm_version(),
        "fingerprint": choice.contact.first.fingerprint if choice.contact else None,
        "next": _next(release, same, is_another=bool(told)),
    }


def _agreement(release: Release, choice: ModelChoice, progress: Progress) -> Agreement:
    before = _before(release)
    with ExitStack() as stack:
        if choice.endpoint is None:
            choice = stack.enter_context(open_session(choice, home(), progress)).choice
        asked = stack.enter_context(asking(choice))
        first = choice.contact.first if choice.contact else ask_patiently(asked, progress.waiting)
        now = settle(first.readings, lambda numbers: asked.canaries(numbers).readings)
    return compare_readings(before.readings, now.readings, flips=before.flips)


def _before(release: Release) -> CanaryAnswers:
    """What the model answered when the release was made, else when this ledger met it first."""
    if release.canaries is not None and release.canaries.canary_set == CANARY_SET:
        return release.canaries
    met = [m.canaries for m in met_before(release.judge.model) if m.canaries.canary_set == CANARY_SET]
    if not met:
        raise RefusedInputError(
            f"release {release.id} holds no answers to the canaries and this ledger has not met its model; there is "
            "nothing to compare with. Judge with it once, such as by 'evaluate --release', and check it from then on"
        )
    return met[0]


def _next(release: Release, same: bool | None, *, is_another: bool) -> str:
    if same:
        return "nothing to do"
    if same is None:
        return "too few canaries were answered; look at the endpoint and check again"
    if is_another:
        return "use --model for the address of the release's own model, or adapt the judge to this one and gate it"
    return (
        f"measure the release on today's model by 'gate DATA --release {release.id}'; if the gate refuses it, "
        "adapt the judge by 'optimize'"
    )

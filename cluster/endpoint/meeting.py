"""Meeting a model: its canaries are asked before the ledger may answer for it, and say in which scope it answers.

Who is met each time is what no content pins, an endpoint first of all; a pinned model is met once per version of vLLM.
Canaries are asked outside of any budget.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from cluster.endpoint.adoption import adopt, is_adopted
from cluster.endpoint.contact import Asking, ask_patiently, asking, described
from cluster.endpoint.models import Contact, ModelChoice
from cluster.progress import Progress
from cluster.runs.run import has_ledger, open_ledger
from judge_serve.judging.canaries import CANARY_SET, NUM_CANARIES, CanaryAnswers, Round
from judge_serve.judging.identity import ModelIdentity
from judge_serve.judging.judge_call import JudgeCall
from judge_serve.judging.release import Release
from optimize_workers.evaluation.answered_by import AnsweredBy, calls_to
from optimize_workers.evaluation.layer import Layer
from optimize_workers.evaluation.recorded import JudgmentStore, Lookup, Recorded, are_recorded
from optimize_workers.evaluation.scopes import Decision, Meeting, decide_scope
from optimize_workers.ledger import Ledger
from optimize_workers.statistics.agreement import MIN_COMPARED, Agreement, compare_readings


@dataclass(frozen=True)
class Met:
    """A model that was met, and how the ledger is asked for its answers.

    Attributes:
        identity: with its scope in this ledger.
        canaries: what its answers are compared with from now on; None of a pinned model that was never asked.
        agreement: with the scope that answered before; None where nothing was compared.
        is_changed: whether it is shown to answer otherwise than the last time.
        version: of vLLM, as far as it is known.
        lookup: see `Recorded`.
    """

    identity: ModelIdentity
    lookup: Lookup
    canaries: CanaryAnswers | None = None
    agreement: Agreement | None = None
    is_changed: bool = False
    version: str | None = None
    fingerprint: str | None = None

    def recorded(self, pool: Layer | None, store: JudgmentStore) -> Layer:
        """The layers that answer for the model: from the store where its scope holds the answer, else from the pool."""
        return AnsweredBy(Recorded(pool, store, self.lookup), self.identity)

    def has_recorded(self, calls: Sequence[JudgeCall], store: JudgmentStore) -> bool:
        """Whether the store answers all of these."""
        return are_recorded(calls_to(calls, self.identity), store, self.lookup)

    def agreement_with(self, release: Release) -> Agreement | None:
        """How the model's answers of now agree with those when a release was made; None where either is not known."""
        if release.canaries is None or self.canaries is None or release.canaries.canary_set != CANARY_SET:
            return None
        before, now = release.canaries, self.canaries
        return compare_readings(before.readings, now.readings, flips=before.flips)

    def as_dict(self) -> dict[str, Any]:
        """The `model` of `result.json`."""
        identity = self.identity
        return {
            "name": identity.name,
            "revision": identity.revision,
            "reported": identity.reported,
            "identity": identity.id,
            "scope": identity.scope,
            "changed": self.is_changed,
            "canaries": self.agreement.as_dict() if self.agreement else None,
            "vllm": self.version,
            "fingerprint": self.fingerprint,
        }


def contacted(choice: ModelChoice, progress: Progress) -> ModelChoice:
    """The choice with what its endpoint shows of itself; a model that is served here stays as it is.

    Raises: EngineError if nothing answers there, or a fatal one comes.
    """
    if choice.endpoint is None or choice.contact is not None:
        return choice
    progress.phase(f"asking {choice.endpoint.base_url} {NUM_CANARIES} canaries")
    with asking(choice) as asked:
        first = ask_patiently(asked, progress.waiting)
        version, context_length = asked.run(described(asked.engine, choice.endpoint.base_url, choice.endpoint.model))
    reported = first.reported
    if not any(first.readings):  # nothing said what it is, which tells nothing from what it was
        with open_ledger() as ledger:
            last = ledger.last_met(choice.endpoint.base_url, choice.identity.name)
        reported = last.reported if last else None
    identity = choice.identity.model_copy(update={"reported": reported})
    return choice._replace(identity=identity, contact=Contact(first, version, context_length))


def known(choice: ModelChoice, ledger: Ledger) -> Met | None:
    """The model as the ledger knows it, where it need not be asked; None where it does."""
    if not choice.identity.is_pinned:
        return None
    here = vllm_version()
    meetings = ledger.meetings(choice.identity)
    if not meetings:
        return Met(choice.identity, Lookup(choice.context_length, is_adopted(choice, 0, ledger)), version=here)
    last = meetings[-1].model
    own = [meeting for meeting in meetings if meeting.model == last]
    if here not in {meeting.version for meeting in own}:
        return None
    former = is_adopted(choice, last.scope, ledger)
    return Met(last, Lookup(choice.context_length, former), own[0].canaries, version=here)


def meet(
    choice: ModelChoice,
    ledger: Ledger,
    progress: Progress,
    needed: Sequence[JudgeCall] = (),
    *,
    fresh: bool = False,
) -> Met:
    """Ask a model its canaries where that is due, and decide on its scope.

    Args:
        choice: an endpoint, or a model that is served by now.
        ledger: knows the model from earlier meetings.
        progress: told what came of it.
        needed: what will be judged; some of what version 0.1 recorded of it is asked anew.
        fresh: a new scope is wanted: everything is asked again.

    Raises: EngineError if the model does not answer at all.
    """
    met = None if fresh else known(choice, ledger)
    if met is not None and met.canaries is not None:
        return met
    with asking(choice) as asked:
        met = _meet(choice, ledger, progress, asked, fresh=fresh)
        if choice.former is not None and met.lookup.former is None and needed and not fresh:
            adopted = adopt(met.identity, choice.former, calls_to(needed, met.identity), ledger, asked)
            if adopted.note:
                progress.note(adopted.note)
            met = replace(met, lookup=met.lookup._replace(former=adopted.model))
    return met


def _meet(choice: ModelChoice, ledger: Ledger, progress: Progress, asked: Asking, *, fresh: bool) -> Met:
    if choice.contact is not None:
        first, engine_version = choice.contact.first, choice.contact.version
    else:
        progress.phase(f"asking {choice.identity.name} its canaries")
        first, engine_version = ask_patiently(asked, progress.waiting), vllm_version()
    meetings = ledger.meetings(choice.identity)
    decision = decide_scope(meetings, first.readings, lambda numbers: asked.canaries(numbers).readings, fresh=fresh)
    identity = choice.identity.in_scope(decision.scope)
    former = None if fresh else is_adopted(choice, decision.scope, ledger)
    before = _last_at(choice, ledger) if decision.agreement is None else None
    ledger.add_meeting(Meeting(identity, choice.address, engine_version, first.fingerprint, decision.canaries))
    for note in _notes(decision, first, identity, before, fresh=fresh):
        progress.note(note)
    is_changed = decision.is_changed or before is not None
    return Met(
        identity,
        Lookup(choice.context_length, former),
        decision.reference,
        decision.agreement,
        is_changed,
        engine_version,
        first.fingerprint,
    )


def _last_at(choice: ModelChoice, ledger: Ledger) -> ModelIdentity | None:
    """What answered at the same address to the same name before, where it was another model."""
    if choice.address is None:
        return None
    last = ledger.last_met(choice.address, choice.identity.name)
    return last if last is not None and last.in_scope(0) != choice.identity else None


def _notes(
    decision: Decision, first: Round, model: ModelIdentity, before: ModelIdentity | None, *, fresh: bool
) -> list[str]:
    agreement, notes = decision.agreement, []
    if before is not None:
        notes.append(
            f"the model has changed: {before.words} answered here before, now it is {model.words}; "
            "what was recorded of the other does not answer for it"
        )
    if agreement is None:
        if decision.canaries.num_answered < MIN_COMPARED:
            notes.append(
                f"only {decision.canaries.num_answered} canaries were answered ({first.failure or 'empty replies'}): "
                "a change of this model cannot be noticed, so the ledger will not answer for it"
            )
    elif fresh:
        notes.append(f"everything is asked again; of what was answered before {agreement.words}")
    elif not agreement.is_measured:
        notes.append(
            f"whether this is the model of last time cannot be told: {agreement.words} "
            f"({first.failure or 'empty replies'}); what is recorded of it does not answer, all is asked again"
        )
    elif agreement.is_changed and decision.is_new:
        notes.append(
            f"the model has changed: {model.words} answers otherwise than before, {agreement.words}; "
            "what is recorded of it does not answer any more, all is asked again"
        )
    elif agreement.is_changed:
        notes.append(
            f"the model has changed back: {model.words} answers as in scope {decision.scope} again; "
            "what was recorded then answers"
        )
    return notes


def met_before(model: ModelIdentity) -> list[Meeting]:
    """When this user's ledger met a model, oldest first."""
    if not has_ledger():
        return []
    with open_ledger() as ledger:
        return ledger.meetings(model)


def vllm_version() -> str | None:
    """The version of vLLM that serves models here."""
    try:
        return version("vllm")
    except PackageNotFoundError:
        return None

"""Replies of the reflection model that hold no text refuse one proposal; the search goes on, and again the same."""

import pytest

from judge_serve.judging import EngineReply, InvalidReason, ModelIdentity
from judge_serve.judging.errors import RefusedRequestError
from optimize_workers.optimizers.gepa.search import GepaOptimizer
from optimize_workers.reflection import ReflectionModel, Reflector
from tests.builders import PROGRAM
from tests.fakes import MemoryStore
from tests.unit.optimize_workers.optimizers.searches import (
    PROPOSAL,
    helped_by_some,
    improving,
    make_study,
    number_of,
    told,
)


class Filtered(RefusedRequestError):
    """One prompt was refused."""

    invalid_reason = InvalidReason.REFUSAL


def treating_badly(badly):
    """A reflection model that improves the judge, but treats every fourth proposal badly."""

    def complete(request):
        prompt = request.messages[0]["content"]
        if number_of(prompt) % 4 == 0:
            return badly(improving(prompt))
        return EngineReply(improving(prompt), "stop")

    return complete


def filtered(_text):
    raise Filtered("the prompt was filtered")


def reflecting_study(complete, store=None, budget=900):
    reflect = Reflector(ReflectionModel(complete, ModelIdentity(name="writer"), 200), store=store)
    return make_study(helped_by_some, budget=budget, reflect=reflect)


def not_asked(_request):
    pytest.fail("all of it is recorded")


@pytest.mark.parametrize(
    ("badly", "reason"),
    [
        (filtered, "refusal"),
        (lambda text: EngineReply(text, "content_filter"), "refusal"),
        (lambda text: EngineReply(text, "length"), "truncated"),
        (lambda text: EngineReply(text.removesuffix("```"), "stop"), "truncated"),
        (lambda text: EngineReply("I'm sorry, but I can't help with that.", "stop"), "refusal"),
        (lambda text: EngineReply(f"Sure! Here is it:{text.replace('`', '')}", "stop"), "sections"),
        (lambda text: EngineReply(f"<think>{text}", "stop"), "chatter"),
    ],
)
def test_a_proposal_that_comes_to_nothing_is_refused_alone_and_a_resumed_search_decides_the_same(badly, reason):
    store = MemoryStore()
    study = reflecting_study(treating_badly(badly), store)
    told_of = []
    study.on_refusal = told_of.append
    GepaOptimizer().run(study)
    assert study.trials[-1].number > 20
    numbers = {one["origin"]["proposal"] for one in told_of if one["refused"] == reason}
    assert numbers and all(number % 4 == 0 for number in numbers)
    judged = {trial.origin["proposal"] for trial in study.trials if "minibatch_scores" in trial.origin}
    assert judged and not any(number % 4 == 0 for number in judged)
    resumed = reflecting_study(not_asked, store)
    GepaOptimizer().run(resumed)
    assert told(resumed) == told(study)
    assert resumed.refusals == study.refusals


def test_a_reflection_model_that_only_talks_costs_no_judge_call_and_wins_nothing():
    study = reflecting_study(
        lambda request: EngineReply(f"Sure! Here is an improved instruction:\n\n{PROPOSAL}", "stop")
    )
    assert GepaOptimizer().run(study).winner == PROGRAM
    assert set(study.refusals) == {"chatter"}
    assert len(study.trials) == 1

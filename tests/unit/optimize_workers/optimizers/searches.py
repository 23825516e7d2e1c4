"""What the tests of all optimizers share: a small study on an engine that answers from a script."""

from __future__ import annotations

import re
from collections.abc import Callable

from judge_serve.judging import EngineReply, EngineRequest, Judge
from optimize_workers.dataset.splits import OptimizationData
from optimize_workers.evaluation.budget import Budget
from optimize_workers.evaluation.budgeted import Budgeted
from optimize_workers.study import Study
from tests.builders import JUDGE, make_examples
from tests.fakes import InProcessPool, ScriptedEngine, json_reply

DATA = OptimizationData(train=make_examples(30), val=make_examples(10, "val"))
PROPOSAL = "Rate by the evidence that a document states."
_EVIDENCE = re.compile(r"evidence (\d)")


def make_study(
    script: Callable[[EngineRequest], EngineReply | str | Exception],
    *,
    budget: int = 100,
    seed: int = 0,
    reflect: Callable[[str], str] = lambda prompt: "",
    can_propose: bool = True,
    judge: Judge = JUDGE,
    data: OptimizationData = DATA,
) -> Study:
    """A study whose pool judges in this process."""
    judging = Budgeted(InProcessPool(ScriptedEngine(script)), Budget(budget))
    return Study(judge, data, judging, seed, reflect, can_propose)


def pool_of(study: Study) -> InProcessPool:
    """The pool under a study of `make_study`."""
    pool = study.judging._inner
    assert isinstance(pool, InProcessPool)
    return pool


def gold_of(request: EngineRequest) -> int:
    """The human rating, which the documents of `make_examples` name."""
    found = _EVIDENCE.search(request.messages[-1]["content"])
    assert found, "a document of make_examples"
    return int(found.group(1))


def rate_well(request: EngineRequest) -> str:
    """A script: always the human rating."""
    return json_reply(gold_of(request))


def has_demonstrations(request: EngineRequest) -> bool:
    """Whether solved examples stand before the item."""
    return len(request.messages) > 2


def readable_with_demonstrations(request: EngineRequest) -> str:
    """A script: right with demonstrations, unreadable without."""
    return rate_well(request) if has_demonstrations(request) else "I think this is quite relevant."


def fails_after(num_calls: int, script: Callable[[EngineRequest], str], error: Exception) -> Callable[..., object]:
    """A script that breaks down after a number of calls."""
    calls = iter(range(10**9))
    return lambda request: script(request) if next(calls) < num_calls else error


def propose(prompt: str) -> str:
    """A reflection model that answers every field that DSPy's proposer asks for."""
    names = ("observations", "summary", "program_description", "module_description", "proposed_instruction")
    return "".join(f"[[ ## {name} ## ]]\n{PROPOSAL}\n\n" for name in names) + "[[ ## completed ## ]]"


def number_of(prompt: str) -> int:
    """The number of the proposal that a prompt of GEPA asks for."""
    return int(re.findall(r"Proposal (\d+)", prompt)[-1])


def improving(prompt: str) -> str:
    """A line for the rubric that differs with the proposal; those of even numbers help."""
    number = number_of(prompt)
    text = re.findall(r"```\n(\[rubric\].*?)\n```", prompt, re.DOTALL)[0]
    line = f"Look at fact {'abcdefgh'[number % 8]} first."
    return f"```\n{text.replace('Rate the pair.', f'Rate the pair. {line}', 1)}\n```"


def helped_by_some(request: EngineRequest) -> str:
    """Off by one, unless the instruction names the fact that the example is about; the wrong facts do nothing."""
    gold = gold_of(request)
    is_helped = f"fact {'aceg'[gold % 4]} first" in request.messages[0]["content"]
    return json_reply(gold if is_helped else gold % 5 + 1)


def told(study: Study) -> list[tuple[object, ...]]:
    """All that a study decided, in its order."""
    return [(t.number, t.program.digest, t.score, t.n, t.split, t.calls, t.origin) for t in study.trials]

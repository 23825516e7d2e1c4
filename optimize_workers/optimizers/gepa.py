"""GEPA: rewrites the program's sections from feedback, through `gepa.optimize` with our own adapter.

Judging, scores, reflection prompt and guardrails are ours; the search (Pareto parents, minibatch acceptance)
is the library's. An unreadable reply scores 0 and reaches the feedback; an outage raises.
"""

from __future__ import annotations

import json
import random
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any

import gepa
from gepa.core.adapter import EvaluationBatch

from judge_serve.judging.errors import EngineError
from judge_serve.judging.judgment import Judgment
from judge_serve.judging.program import Program
from judge_serve.judging.task import Example
from optimize_workers.budget import BudgetExceededError
from optimize_workers.evaluate import JudgeCall
from optimize_workers.feedback import RULES, reflection_record
from optimize_workers.guardrails import Guardrails
from optimize_workers.metrics import example_score
from optimize_workers.study import Study, StudyResult

Candidate = dict[str, str]
MINIBATCH = 6
VALIDATION_SHARE = 6  # the budget is worth about this many full evaluations
MAX_FRUITLESS_PROPOSALS = 20  # refused or rejected proposals in a row before the search ends
_BLOCK = re.compile(r"```[a-z]*\n?(.*?)```", re.DOTALL)

REFLECTION_PROMPT = """\
You improve one section of the instruction of a relevance judge. The judge reads a search query and a document \
and rates how relevant the document is, on a fixed scale that you must not change.

The section is called "{name}". Its current text:
```
{text}
```

Here is what the judge answered with it, and how that compares with people:
```
{records}
```

Find what the mistakes have in common: is the judge too generous or too harsh, and for which kind of document? \
Are replies unreadable? Then write a better text for this section. {rules}

Answer with the new text of the section inside one pair of ``` fences and nothing else."""


class GepaOptimizer:
    """Reflective rewriting of the sections of a program."""

    def run(self, study: Study) -> StudyResult:
        """See `Optimizer.run`."""
        num_validation = max(4, study.budget.left // VALIDATION_SHARE)
        validation = study.validation_examples(num_validation)
        adapter = _Adapter(study, validation)
        minibatch = min(MINIBATCH, len(study.data.train))
        # worst case of one step: parent and child on the minibatch, child on all validation examples
        worst_step = 2 * minibatch + len(validation)
        if study.budget.left < len(validation):
            return study.result()
        with suppress(BudgetExceededError):  # tokens and dollars may end in the middle of a step
            gepa.optimize(
                seed_candidate=dict(study.judge.program.sections),
                trainset=list(study.data.train),
                valset=list(validation),
                adapter=adapter,
                reflection_minibatch_size=minibatch,
                skip_perfect_score=True,
                module_selector="round_robin",
                stop_callbacks=[
                    lambda _state: study.budget.left < worst_step,
                    lambda _state: adapter.ended_by is not None or adapter.fruitless >= MAX_FRUITLESS_PROPOSALS,
                ],
                logger=_Quiet(),
                seed=study.seed,
                raise_on_exception=True,
                display_progress_bar=False,
                val_evaluation_policy="full_eval",
            )
        if isinstance(adapter.ended_by, EngineError):
            raise adapter.ended_by
        return study.result(dict(adapter.refusals))


class _Adapter:
    """GEPA's view of judging: sections in, scores and reflection records out."""

    def __init__(self, study: Study, validation: Sequence[Example]) -> None:
        self._study = study
        self._validation = list(validation)
        self._scale = study.judge.task.scale
        self._guard = Guardrails(self._scale, study.judge.program.instruction, [*study.data.train, *study.data.val])
        self._random = random.Random(study.seed)
        self.refusals: Counter[str] = Counter()
        self.ended_by: EngineError | BudgetExceededError | None = None
        self.fruitless = 0

    def evaluate(
        self, batch: list[Example], candidate: Candidate, capture_traces: bool = False
    ) -> EvaluationBatch[tuple[Judgment, Example], Judgment]:
        """Judge a batch with a candidate; a whole validation set counts as a full trial."""
        program = self._program(candidate)
        judgments = self._study.plane.evaluate([JudgeCall(program, example) for example in batch])
        if batch == self._validation:
            self._study.record(program, batch, judgments, is_full=True, origin={"optimizer": "gepa"})
            self.fruitless = 0
        scores = [example_score(j, e, self._scale) for j, e in zip(judgments, batch, strict=True)]
        return EvaluationBatch(
            outputs=list(judgments),
            scores=scores,
            trajectories=list(zip(judgments, batch, strict=True)) if capture_traces else None,
            objective_scores=[
                {"agreement": score, "validity": float(j.is_valid)} for score, j in zip(scores, judgments, strict=True)
            ],
            num_metric_calls=len(batch),
        )

    def make_reflective_dataset(
        self,
        candidate: Candidate,
        eval_batch: EvaluationBatch[tuple[Judgment, Example], Judgment],
        components_to_update: list[str],
    ) -> dict[str, list[dict[str, Any]]]:
        """Records for the reflection model, unreadable replies first, then the widest misses."""
        pairs = sorted(zip(eval_batch.trajectories or [], eval_batch.scores, strict=True), key=lambda pair: pair[1])
        records = [reflection_record(judgment, example, self._scale) for (judgment, example), _ in pairs]
        return dict.fromkeys(components_to_update, records)

    def propose_new_texts(
        self,
        candidate: Candidate,
        reflective_dataset: Mapping[str, Sequence[Mapping[str, Any]]],
        components_to_update: list[str],
    ) -> Candidate:
        """New section texts; none for a refused proposal, which then costs no judge call."""
        self.fruitless += 1
        proposed = {}
        for name in components_to_update:
            prompt = REFLECTION_PROMPT.format(
                name=name,
                text=candidate[name],
                records=json.dumps(list(reflective_dataset[name]), indent=1, ensure_ascii=False),
                rules=RULES,
            )
            try:
                text = extract_text(self._study.reflect(prompt))
            except (EngineError, BudgetExceededError) as error:  # gepa would swallow it and go on
                self.ended_by = error
                return {}
            reason = self._guard.refusal("\n\n".join({**candidate, name: text}.values())) if text else "empty"
            if reason is None and text == candidate[name]:
                reason = "unchanged"
            if reason is None:
                proposed[name] = text
            else:
                self.refusals[reason] += 1
        return proposed

    def _program(self, candidate: Candidate) -> Program:
        return self._study.judge.program.with_sections(dict(candidate))


class _Quiet:
    """Swallows gepa's own log; progress comes from our trials."""

    def log(self, message: str) -> None:
        """Say nothing."""


def extract_text(reply: str) -> str:
    """The fenced text of a reply, or the whole reply where there is no fence."""
    blocks = _BLOCK.findall(reply)
    return str(max(blocks, key=len) if blocks else reply).strip()

"""Reflection: completing a prompt with the model that writes instructions; recorded, budgeted, patient.

What was answered once is never asked again: a study that runs anew with the same seed gets the same texts.
"""

from __future__ import annotations

import json
import random
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import NamedTuple, Protocol

from judge_serve.catalogue.entries import Prices
from judge_serve.judging.content_key import digest_of
from judge_serve.judging.engine import EngineReply, EngineRequest
from judge_serve.judging.errors import OutageError, TransientError
from judge_serve.judging.judge import ModelIdentity
from judge_serve.judging.retrying import RetryPolicy
from judge_serve.judging.task import Example
from optimize_workers.evaluation.budget import Budget, CostEstimator

TEMPERATURE = 1.0
FIRST_PAUSE_S = 1.0  # after the first failure of an outage; each further pause doubles
_SHOWN_CHARS = 80  # a document counts as shown if its beginning stands in the prompt


class Reflection(NamedTuple):
    """What the reflection model wrote, and its tokens."""

    text: str
    prompt_tokens: int
    completion_tokens: int


class ReflectionStore(Protocol):
    """Recorded reflections by content key (32 bytes); implemented by the ledger."""

    def find_reflection(self, key: bytes) -> Reflection | None:
        """The recorded one, if there is one."""
        ...

    def add_reflection(
        self, key: bytes, reflection: Reflection, *, model: str, revision: str, doc_ids: Sequence[str]
    ) -> None:
        """Record one; `doc_ids` are the documents whose text the prompt showed."""
        ...


class ReflectionModel(NamedTuple):
    """The model that writes, as a study reaches it.

    Attributes:
        complete: sends a request to it; raises EngineError.
        identity: which model it is.
        max_tokens: bound of an answer.
        prices: of its tokens, where a budget counts dollars.
    """

    complete: Callable[[EngineRequest], EngineReply]
    identity: ModelIdentity
    max_tokens: int
    prices: Prices | None = None


class Reflector:
    """Completes prompts for one study.

    Args:
        model: what answers.
        seed: of the study.
        examples: whose documents may stand in prompts.
        store: answers what it holds and records the rest; None asks everything.
        budget: charged with the tokens, if it limits them.
    """

    def __init__(
        self,
        model: ReflectionModel,
        *,
        seed: int = 0,
        examples: Sequence[Example] = (),
        store: ReflectionStore | None = None,
        budget: Budget | None = None,
    ) -> None:
        self._model = model
        self._seed = seed
        self._examples = examples
        self._store = store
        self._budget = budget
        self._estimator = CostEstimator(model.prices)
        self._times: Counter[str] = Counter()
        self._lock = threading.Lock()
        self.num_asked = 0
        self.num_cached = 0

    def __call__(self, prompt: str) -> str:
        """The reflection model's answer.

        Raises:
            BudgetExceededError: the answer could cost more than is left; nothing was asked.
            EngineError: the model did not answer.
        """
        with self._lock:
            occurrence = self._times[prompt]
            self._times[prompt] += 1
        request = EngineRequest(
            ({"role": "user", "content": prompt},),
            max_tokens=self._model.max_tokens,
            temperature=TEMPERATURE,
            seed=self._seed * 1_000 + occurrence,
        )
        prompt_bytes = len(prompt.encode("utf-8", "replace"))
        budget = self._budget if self._budget and self._budget.has_token_limits else None
        promise = budget.promise(0, self._estimator.worst(prompt_bytes, self._model.max_tokens)) if budget else None
        try:
            reflection = self._recall(request, prompt)
            if budget and promise:
                cost = self._estimator.cost(reflection.prompt_tokens, reflection.completion_tokens)
                budget.settle(promise, replace(cost, calls=0))
        finally:
            if budget and promise:
                budget.release(promise)  # of a model that did not answer
        self._estimator.learn(prompt_bytes, reflection.prompt_tokens, reflection.completion_tokens)
        return reflection.text

    def _recall(self, request: EngineRequest, prompt: str) -> Reflection:
        with self._lock:
            self.num_asked += 1
        settings = [request.max_tokens, request.temperature, request.seed]
        key = bytes.fromhex(digest_of([self._model.identity.model_dump(mode="json"), settings, prompt]))
        recorded = self._store.find_reflection(key) if self._store else None
        if recorded is not None:
            with self._lock:
                self.num_cached += 1
            return recorded
        reply = self._model.complete(request)
        reflection = Reflection(reply.text, reply.prompt_tokens, reply.completion_tokens)
        if self._store:
            name, revision = self._model.identity.name, self._model.identity.revision
            self._store.add_reflection(key, reflection, model=name, revision=revision, doc_ids=self._shown(prompt))
        return reflection

    def _shown(self, prompt: str) -> list[str]:
        shown = {}
        for example in self._examples:
            start = example.item.document[:_SHOWN_CHARS]
            if start in prompt or json.dumps(start, ensure_ascii=False)[1:-1] in prompt:
                shown[example.item.doc_id] = True
        return list(shown)


def complete_patiently(
    complete: Callable[[], EngineReply],
    retry: RetryPolicy,
    on_wait: Callable[[str], None],
    sleep: Callable[[float], None] = time.sleep,
    clock: Callable[[], float] = time.monotonic,
) -> EngineReply:
    """Call until an answer comes; an outage is waited out for as long as the policy allows.

    Raises: EngineError that no wait will mend; OutageError with the last reason when it lasted too long.
    """
    started, pause_s = clock(), FIRST_PAUSE_S
    while True:
        try:
            return complete()
        except TransientError as error:
            lasted_s = clock() - started
            if lasted_s >= retry.max_outage_s:
                raise OutageError(f"no answer for {lasted_s:.0f} s: {error}") from error
            on_wait(f"paused: the reflection model gives no answer for {lasted_s:.0f} s ({error})")
            wait_s = max(error.retry_after_s, random.uniform(0.5, 1.0) * pause_s)
            sleep(min(wait_s, max(0.0, retry.max_outage_s - lasted_s) + 0.01))
            pause_s = min(2 * pause_s, retry.longest_wait_s)

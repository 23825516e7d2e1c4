"""Reflection: completing a prompt with the model that writes instructions; recorded, budgeted, patient.

What was answered once is never asked again: a study that runs anew with the same seed gets the same texts, and the same
refusals where a reply was cut off, filtered or not given. Those are recorded too, told from texts by a mark.
"""

from __future__ import annotations

import json
import random
import re
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import NamedTuple, Protocol

from judge_serve.catalogue.entries import Prices
from judge_serve.judging.content_key import digest_of
from judge_serve.judging.engine import EngineReply, EngineRequest
from judge_serve.judging.errors import (
    CallFailedError,
    EngineError,
    OutageError,
    PromptTooLongError,
    RateLimitedError,
    RefusedRequestError,
    TransientError,
)
from judge_serve.judging.identity import ModelIdentity
from judge_serve.judging.retrying import RetryPolicy
from judge_serve.judging.task import Example
from optimize_workers.evaluation.budget import Budget, CostEstimator
from optimize_workers.guardrails import Refusal
from optimize_workers.texts.thinking import without_thinking
from optimize_workers.texts.wording import shortened

TEMPERATURE = 1.0
NEWS_EVERY_S = 1.0
MAX_FAILURES_ALONE = 5  # of one request, each after several attempts, while others are answered; then it is given up
FIRST_PAUSE_S = 1.0  # after the first failure of an outage; each further pause doubles
_SHOWN_CHARS = 80  # a document counts as shown if its beginning stands in the prompt
_REASONS = {  # why a reply holds no text, by the reason that an engine gives for its end
    **dict.fromkeys(("length", "max_tokens", "model_length"), "truncated"),
    **dict.fromkeys(("content_filter", "refusal", "safety"), "refusal"),
}
_DETAILS = {"truncated": "the reply was cut off at the limit of its length"}
_MARKED = re.compile(r"<\|refused: (\w+)\|>\n")
_MARK = "<|refused: {}|>\n"  # before the recorded text of a reply that holds none; the ledger has no column for it


class Reflection(NamedTuple):
    """What the reflection model wrote, and its tokens; behind a mark where it is no text, see `Reflector`."""

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
        on_news: told how many were asked of the model and how many it answered, every second while it is waited for.
    """

    def __init__(
        self,
        model: ReflectionModel,
        *,
        seed: int = 0,
        examples: Sequence[Example] = (),
        store: ReflectionStore | None = None,
        budget: Budget | None = None,
        on_news: Callable[[int, int], None] = lambda num_asked, num_answered: None,
    ) -> None:
        self._model = model
        self._seed = seed
        self._examples = examples
        self._store = store
        self._budget = budget
        self._estimator = CostEstimator(model.prices)
        self._times: Counter[str] = Counter()
        self._lock = threading.Lock()
        self._under_way = _UnderWay(on_news)
        self.num_asked = 0
        self.num_cached = 0

    def __call__(self, prompt: str) -> str | Refusal:
        """The reflection model's answer without its thinking, or why there is none.

        Raises:
            BudgetExceededError: the answer could cost more than is left; nothing was asked.
            EngineError: the model did not answer, whatever it was asked.
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
        return _read(reflection.text)

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
        try:
            with self._under_way.one_more():
                reply = self._model.complete(request)
        except CallFailedError as error:  # may be answered another time: not recorded
            return _refused("not_answered", error)
        except PromptTooLongError as error:  # of the context length, which no key names: not recorded
            return _refused(error.invalid_reason, error)
        except RefusedRequestError as error:
            reflection = _refused(error.invalid_reason, error)
        else:
            reason = _REASONS.get(reply.finish_reason.lower())
            mark = _MARK.format(reason) if reason else ""
            reflection = Reflection(mark + reply.text, reply.prompt_tokens, reply.completion_tokens)
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


class _UnderWay:
    """Counts what the model was asked and what it answered, and tells it every second while it is waited for."""

    def __init__(self, on_news: Callable[[int, int], None]) -> None:
        self._on_news = on_news
        self._lock = threading.Lock()
        self._num_asked = self._num_answered = 0
        self._is_idle = threading.Event()

    @contextmanager
    def one_more(self) -> Iterator[None]:
        """One request, from asking it to its answer or failure."""
        with self._lock:
            self._num_asked += 1
            if self._num_asked == self._num_answered + 1:
                self._is_idle = threading.Event()
                threading.Thread(target=self._tell, args=(self._is_idle,), name="reflection-news", daemon=True).start()
        try:
            yield
        finally:
            with self._lock:
                self._num_answered += 1
                if self._num_asked == self._num_answered:
                    self._is_idle.set()
            self._on_news(self._num_asked, self._num_answered)

    def _tell(self, is_idle: threading.Event) -> None:
        while not is_idle.wait(NEWS_EVERY_S):
            self._on_news(self._num_asked, self._num_answered)


def _refused(reason: str, error: EngineError) -> Reflection:
    return Reflection(_MARK.format(reason) + str(error), 0, 0)


def _read(recorded: str) -> str | Refusal:
    """The text of a reflection without thinking, or the refusal that it was recorded as."""
    marked = _MARKED.match(recorded)
    if marked:
        reason = marked.group(1)
        return Refusal(reason, _DETAILS.get(reason) or shortened(recorded[marked.end() :]) or "the reply was filtered")
    text = without_thinking(recorded)
    return Refusal("chatter", "thinking that does not come to an answer") if text is None else text


def complete_patiently(
    complete: Callable[[], EngineReply],
    retry: RetryPolicy,
    on_wait: Callable[[str], None],
    num_answered: Callable[[], int] = lambda: 0,
    sleep: Callable[[float], None] = time.sleep,
    clock: Callable[[], float] = time.monotonic,
) -> EngineReply:
    """Call until an answer comes; an outage is waited out for as long as the policy allows.

    `num_answered` counts what others were answered: where they are, this one alone fails, which is no outage.

    Raises: EngineError that no wait will mend; with the last reason OutageError when it lasted too long, and
        CallFailedError after that time, or `MAX_FAILURES_ALONE` failures, where others were answered meanwhile.
    """
    started, pause_s = clock(), FIRST_PAUSE_S
    num_before, num_failures_alone = num_answered(), 0
    while True:
        try:
            return complete()
        except TransientError as error:
            lasted_s = clock() - started
            is_alone, num_before = num_answered() > num_before, num_answered()
            if is_alone and not isinstance(error, RateLimitedError):  # under a limit some wait for their turn
                num_failures_alone += 1
            if num_failures_alone == MAX_FAILURES_ALONE or (is_alone and lasted_s >= retry.max_outage_s):
                raise CallFailedError(f"no answer for {lasted_s:.0f} s while others got one: {error}") from error
            if lasted_s >= retry.max_outage_s:
                raise OutageError(f"no answer for {lasted_s:.0f} s: {error}") from error
            on_wait(f"paused: the reflection model gives no answer for {lasted_s:.0f} s ({error})")
            wait_s = max(error.retry_after_s, random.uniform(0.5, 1.0) * pause_s)
            sleep(min(wait_s, max(0.0, retry.max_outage_s - lasted_s) + 0.01))
            pause_s = min(2 * pause_s, retry.longest_wait_s)

"""The layer that sends nothing that a budget does not hold, and settles for what was judged."""

from __future__ import annotations

from collections.abc import Sequence

from judge_serve.catalogue.entries import Prices
from judge_serve.judging.judge_call import JudgeCall
from judge_serve.judging.judgment import Judgment
from judge_serve.judging.rendering import render_messages
from optimize_workers.evaluation.budget import Budget, Cost, CostEstimator, Promise
from optimize_workers.evaluation.layer import Layer, OnDone
from optimize_workers.evaluation.watched import Watcher

_FIRST_CALLS = 4  # show how the model counts tokens, before more is promised at the worst case
_TEMPLATE_BYTES = 16  # for what a chat template puts around one message


class Budgeted:
    """See the module.

    Args:
        inner: carries out what the budget holds.
        budget: what may be spent.
        prices: of the judging model, where the budget counts dollars.
        watcher: told what is left.
    """

    def __init__(
        self, inner: Layer, budget: Budget, *, prices: Prices | None = None, watcher: Watcher | None = None
    ) -> None:
        self.budget = budget
        self._inner = inner
        self._watcher = watcher
        self._estimator = CostEstimator(prices)

    def judge(
        self, calls: Sequence[JudgeCall], on_done: OnDone | None = None, *, promise: Promise | None = None
    ) -> list[Judgment]:
        """See `Layer.judge`; the calls are drawn from a promise, where there is one.

        Raises:
            BudgetExceededError: before anything is sent; where tokens or dollars are limited and nothing is known of
                the model's tokenizer yet, after the first few calls.
        """
        if not self.budget.has_token_limits or self._estimator.is_calibrated:
            return self._judge(calls, on_done, promise)

        def later(places: Sequence[int], judgments: Sequence[Judgment]) -> None:
            if on_done:
                on_done([_FIRST_CALLS + place for place in places], judgments)

        first = self._judge(calls[:_FIRST_CALLS], on_done, promise)
        return [*first, *self._judge(calls[_FIRST_CALLS:], later, promise)]

    def _judge(self, calls: Sequence[JudgeCall], on_done: OnDone | None, promise: Promise | None) -> list[Judgment]:
        if promise is not None:
            return self._draw(calls, on_done, promise)
        own = self.budget.promise(len(calls))
        try:
            return self._draw(calls, on_done, own)
        finally:
            self.budget.settle(own)

    def _draw(self, calls: Sequence[JudgeCall], on_done: OnDone | None, promise: Promise) -> list[Judgment]:
        wave = self.budget.promise(len(calls), self._worst(calls), promise)
        arrived: list[tuple[int, Judgment]] = []

        def note(places: Sequence[int], judgments: Sequence[Judgment]) -> None:
            arrived.extend(zip(places, judgments, strict=True))
            if on_done:
                on_done(places, judgments)

        try:
            return self._inner.judge(calls, note)
        finally:  # what an engine that failed has judged is spent, the rest is not
            self.budget.settle(wave, self._spent(calls, arrived))
            if self._watcher:
                self._watcher.spent(self.budget.unspent, self.budget.usd_left, self.budget.tokens_left)

    def _worst(self, calls: Sequence[JudgeCall]) -> Cost:
        if not self.budget.has_token_limits:
            return Cost(len(calls))
        worst = [self._estimator.worst(prompt_bytes(call), call.judge.max_completion_tokens) for call in calls]
        for cost in worst:
            self.budget.note_worst_call(cost)
        return Cost(len(calls), sum(cost.tokens for cost in worst), sum(cost.usd for cost in worst))

    def _spent(self, calls: Sequence[JudgeCall], arrived: Sequence[tuple[int, Judgment]]) -> Cost:
        if not self.budget.has_token_limits:
            return Cost(len(arrived))
        costs = []
        for place, judgment in arrived:
            costs.append(self._estimator.cost(judgment.prompt_tokens, judgment.completion_tokens))
            self._estimator.learn(prompt_bytes(calls[place]), judgment.prompt_tokens, judgment.completion_tokens)
        return Cost(len(arrived), sum(cost.tokens for cost in costs), sum(cost.usd for cost in costs))


def prompt_bytes(call: JudgeCall) -> int:
    """Bytes of all that a judge call sends as prompt, the chat template's own tokens counted as a few bytes each."""
    judge = call.judge
    messages = render_messages(judge.task, judge.program, judge.mode, call.item, judge.control_tokens)
    return sum(len(message["content"].encode("utf-8", "replace")) + _TEMPLATE_BYTES for message in messages)

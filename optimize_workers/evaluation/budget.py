"""Budgets: what a study may spend in judge calls, tokens and dollars; promised before anything is sent.

A promise sets judge calls aside; what is sent is drawn from it, and settling it counts what was spent and gives the
rest back. Judge calls are known before they are made, tokens are not: what is sent promises what it can cost at worst.
Recorded judgments count like fresh ones, so that a resumed study makes the same decisions.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass, field

from judge_serve.catalogue.entries import Prices

_MARGIN = 1.25  # on the highest share of tokens per byte of prompt seen so far


class BudgetExceededError(RuntimeError):
    """What was asked would exceed the budget; nothing of it was sent."""


@dataclass(frozen=True)
class Cost:
    """What some calls cost or may cost: number of judge calls, tokens, US dollars."""

    calls: int = 0
    tokens: int = 0
    usd: float = 0.0


@dataclass(eq=False)
class Promise:
    """Judge calls set aside, and the tokens and dollars that they can cost at worst; made by `Budget.promise`.

    Attributes:
        calls: judge calls that are not spent and not drawn by another promise.
        spent: judge calls that were made, not counted as used until the promise is settled.
        drawn_from: the promise that the calls come from; None where they come from the budget.
        is_open: whether it is neither settled nor released.
    """

    calls: int
    tokens: int = 0
    usd: float = 0.0
    drawn_from: Promise | None = None
    spent: int = 0
    is_open: bool = True


@dataclass
class Budget:
    """What may be spent, what is promised and what is spent.

    Attributes:
        total: judge calls allowed.
        max_tokens: prompt and completion tokens allowed, of judging and reflecting; None is no limit.
        max_usd: the same in US dollars.
        used: judge calls of settled promises, those answered by the ledger included.
        promised: judge calls of open promises.
        used_tokens, used_usd: spent, or promised at worst.
    """

    total: int
    used: int = field(default=0, init=False)
    promised: int = field(default=0, init=False)
    max_tokens: int | None = None
    max_usd: float | None = None
    used_tokens: int = field(default=0, init=False)
    used_usd: float = field(default=0.0, init=False)
    _worst_call: Cost = field(default=Cost(), init=False, repr=False)
    _open: set[Promise] = field(default_factory=set, init=False, repr=False)
    _lock: threading.RLock = field(default_factory=threading.RLock, init=False, repr=False)

    @property
    def has_token_limits(self) -> bool:
        """Whether tokens or dollars are limited, so that what is sent must say what it costs at worst."""
        return self.max_tokens is not None or self.max_usd is not None

    @property
    def calls_left(self) -> int:
        """Judge calls that are neither used nor promised, whatever they may cost."""
        return self.total - self.used - self.promised

    @property
    def unspent(self) -> int:
        """Judge calls that were not made, promised or not: what people are told."""
        with self._lock:
            return self.total - self.used - sum(promise.spent for promise in self._open)

    @property
    def left(self) -> int:
        """Judge calls that may still be promised, each as costly as the costliest so far."""
        left = self.calls_left
        if self.max_tokens is not None and self._worst_call.tokens:
            left = min(left, (self.max_tokens - self.used_tokens) // self._worst_call.tokens)
        if self.max_usd is not None and self._worst_call.usd:
            left = min(left, int((self.max_usd - self.used_usd) / self._worst_call.usd))
        return max(0, left)

    @property
    def tokens_left(self) -> int | None:
        """Tokens that may still be spent, None without a limit."""
        return None if self.max_tokens is None else max(0, self.max_tokens - self.used_tokens)

    @property
    def usd_left(self) -> float | None:
        """US dollars that may still be spent, None without a limit."""
        return None if self.max_usd is None else max(0.0, self.max_usd - self.used_usd)

    def promise(self, num_calls: int, worst: Cost = Cost(), out_of: Promise | None = None) -> Promise:
        """Set judge calls aside, and the tokens and dollars that they cost at worst.

        Args:
            num_calls: how many.
            worst: its tokens and dollars are promised too.
            out_of: an open promise that the calls are drawn from; from what is left otherwise.

        Raises:
            BudgetExceededError: naming the limit; nothing is promised then.
            ValueError: more calls than the other promise holds.
        """
        with self._lock:
            self._check(num_calls, worst, out_of)
            if out_of is None:
                self.promised += num_calls
            else:
                out_of.calls -= num_calls
            self.used_tokens += worst.tokens
            self.used_usd += worst.usd
            made = Promise(num_calls, worst.tokens, worst.usd, out_of)
            self._open.add(made)
        return made

    def settle(self, promise: Promise, spent: Cost | None = None) -> None:
        """Count what was spent of a promise, and give the rest back; a settled one stays as it is.

        `spent` is what its calls came to; without it that is what was drawn from the promise and settled.
        """
        with self._lock:
            if not promise.is_open:
                return
            if spent is not None:
                promise.calls -= spent.calls
                promise.spent += spent.calls
                self.used_tokens += spent.tokens
                self.used_usd += spent.usd
            if (above := self._open_above(promise)) is not None:
                above.spent += promise.spent
            else:
                self.used += promise.spent
                self.promised -= promise.spent
            self._give_back(promise)

    def release(self, promise: Promise) -> None:
        """Give back a promise that nothing came of; what was spent of it all the same is counted."""
        self.settle(promise)

    def settle_all(self) -> None:
        """Settle what is still promised, when a search ends or breaks off; what is under way counts when it is in."""
        with self._lock:
            for promise in [promise for promise in self._open if promise.drawn_from is None]:
                self.settle(promise)

    def note_worst_call(self, call: Cost) -> None:
        """Remember what the costliest call so far may have cost, see `left`."""
        with self._lock:
            worst = self._worst_call
            self._worst_call = Cost(1, max(worst.tokens, call.tokens), max(worst.usd, call.usd))

    def _give_back(self, promise: Promise) -> None:
        """Calls that were not spent, and the tokens and dollars promised with them; what was spent has moved on."""
        if (above := self._open_above(promise)) is not None:
            above.calls += promise.calls
        else:
            self.promised -= promise.calls
        self.used_tokens -= promise.tokens
        self.used_usd -= promise.usd
        promise.calls, promise.spent, promise.is_open = 0, 0, False
        self._open.discard(promise)

    def _open_above(self, promise: Promise) -> Promise | None:
        above = promise.drawn_from
        return above if above is not None and above.is_open else None

    def _check(self, num_calls: int, worst: Cost, out_of: Promise | None) -> None:
        if out_of is not None and (num_calls > out_of.calls or not out_of.is_open):
            raise ValueError(f"{num_calls} judge calls drawn from a promise that holds {out_of.calls}")
        if out_of is None and num_calls > self.calls_left:
            raise BudgetExceededError(f"{num_calls} judge calls asked, {self.calls_left} of {self.total} left")
        if self.max_tokens is not None and self.used_tokens + worst.tokens > self.max_tokens:
            raise BudgetExceededError(
                f"up to {worst.tokens} tokens asked, {self.max_tokens - self.used_tokens} of {self.max_tokens} left"
            )
        if self.max_usd is not None and self.used_usd + worst.usd > self.max_usd:
            raise BudgetExceededError(
                f"up to {worst.usd:.4f} USD asked, {self.max_usd - self.used_usd:.4f} of {self.max_usd:g} left"
            )


class CostEstimator:
    """What a request can cost at worst, from the bytes of its prompt and what earlier prompts were counted as."""

    def __init__(self, prices: Prices | None) -> None:
        self._prices = prices
        self._tokens_per_byte = 0.0  # 0 is unknown: then a token a byte
        self._longest_completion = 0  # hidden reasoning counts as completion beyond what was asked for

    @property
    def is_calibrated(self) -> bool:
        """Whether any prompt was counted yet."""
        return self._tokens_per_byte > 0.0

    def worst(self, prompt_bytes: int, max_completion_tokens: int) -> Cost:
        """Upper estimate for one request."""
        ratio = self._tokens_per_byte * _MARGIN or 1.0
        return self.cost(int(prompt_bytes * ratio) + 1, max(max_completion_tokens, self._longest_completion))

    def cost(self, prompt_tokens: int, completion_tokens: int) -> Cost:
        """What counted tokens cost."""
        usd = self._prices.usd(prompt_tokens, completion_tokens) if self._prices else 0.0
        return Cost(1, prompt_tokens + completion_tokens, usd)

    def learn(self, prompt_bytes: int, prompt_tokens: int, completion_tokens: int) -> None:
        """Take note of how a prompt and its completion were counted."""
        self._longest_completion = max(self._longest_completion, completion_tokens)
        if prompt_bytes:
            self._tokens_per_byte = max(self._tokens_per_byte, prompt_tokens / prompt_bytes)

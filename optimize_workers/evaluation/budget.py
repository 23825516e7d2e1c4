"""Budgets: how many judge calls, tokens and dollars a study may spend; checked before anything is sent.

Calls are known before a wave, tokens are not: a wave reserves what it can cost at worst and is settled when its
judgments are in. Recorded judgments count like fresh ones, so that a resumed study makes the same decisions.
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


@dataclass
class Budget:
    """What may be spent and what is spent or reserved.

    Attributes:
        total: judge calls allowed.
        max_tokens: prompt and completion tokens allowed, of judging and reflecting; None is no limit.
        max_usd: the same in US dollars.
        used: judge calls sent, those answered by the ledger included.
    """

    total: int
    used: int = 0
    max_tokens: int | None = None
    max_usd: float | None = None
    used_tokens: int = 0
    used_usd: float = 0.0
    _worst_call: Cost = field(default=Cost(), init=False, repr=False)
    _lock: threading.Lock = field(default_factory=threading.Lock, init=False, repr=False)

    @property
    def has_token_limits(self) -> bool:
        """Whether tokens or dollars are limited, so that waves must say what they cost at worst."""
        return self.max_tokens is not None or self.max_usd is not None

    @property
    def left(self) -> int:
        """Judge calls that may still be sent, each as costly as the costliest so far."""
        left = self.total - self.used
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

    def reserve(self, num_calls: int, worst: Cost | None = None) -> Cost:
        """Take calls, and what they cost at worst, before they are sent; returns what was taken.

        Raises: BudgetExceededError naming the limit; nothing is taken then.
        """
        taken = Cost(num_calls, worst.tokens if worst else 0, worst.usd if worst else 0.0)
        with self._lock:
            if num_calls > self.total - self.used:
                raise BudgetExceededError(
                    f"{num_calls} judge calls asked, {self.total - self.used} of {self.total} left"
                )
            if self.max_tokens is not None and self.used_tokens + taken.tokens > self.max_tokens:
                raise BudgetExceededError(
                    f"up to {taken.tokens} tokens asked, {self.max_tokens - self.used_tokens} of {self.max_tokens} left"
                )
            if self.max_usd is not None and self.used_usd + taken.usd > self.max_usd:
                raise BudgetExceededError(
                    f"up to {taken.usd:.4f} USD asked, {self.max_usd - self.used_usd:.4f} of {self.max_usd:g} left"
                )
            self.used += taken.calls
            self.used_tokens += taken.tokens
            self.used_usd += taken.usd
        return taken

    def settle(self, taken: Cost, spent: Cost) -> None:
        """Replace the tokens and dollars of a reservation by what was really spent; calls stay taken."""
        with self._lock:
            self.used_tokens += spent.tokens - taken.tokens
            self.used_usd += spent.usd - taken.usd

    def note_worst_call(self, call: Cost) -> None:
        """Remember what the costliest call so far may have cost, see `left`."""
        with self._lock:
            worst = self._worst_call
            self._worst_call = Cost(1, max(worst.tokens, call.tokens), max(worst.usd, call.usd))


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

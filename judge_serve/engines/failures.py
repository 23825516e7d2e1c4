"""What the failure of an endpoint means: one table from status and words to the class of the error.

The classes, and what is done about each, are drawn in `judge_serve.judging.errors`.
"""

from __future__ import annotations

import re
from collections.abc import Container
from typing import NamedTuple

from judge_serve.judging.errors import (
    BadRequestError,
    EngineError,
    EngineTimeoutError,
    MisconfiguredError,
    PromptTooLongError,
    RateLimitedError,
    RefusedRequestError,
    ServerError,
    TransientError,
    UnreachableError,
)

_CONTEXT_WORDS = re.compile(
    r"context_length_exceeded|maximum context length|context window|max_model_len|longer than the maximum model length"
    r"|exceeds? the (?:model'?s? )?(?:available |maximum )?(?:context|model length|input|number of (?:input )?tokens)"
    r"|prompt is too long",
    re.IGNORECASE,
)
_MAX_DETAIL_CHARS = 300


class StatusRule(NamedTuple):
    """What some statuses mean.

    Attributes:
        words: what the answer must say as well, if anything.
        advice: what to do, at the end of the message.
    """

    statuses: Container[int]
    kind: type[EngineError]
    words: re.Pattern[str] | None = None
    advice: str = ""

    def fits(self, status: int, detail: str) -> bool:
        """Whether an answer is meant."""
        return status in self.statuses and (self.words is None or self.words.search(detail) is not None)


# tried from the top, the first that fits decides
STATUS_RULES = (
    StatusRule(range(400, 500), PromptTooLongError, words=_CONTEXT_WORDS),
    StatusRule((401, 403), MisconfiguredError, advice="check RELEVANCE_JUDGE_MODEL_KEY"),
    StatusRule((404,), MisconfiguredError, advice="check the model name after '#' and the address"),
    StatusRule((400, 413, 422), BadRequestError),
    StatusRule((408, 504), EngineTimeoutError),
    StatusRule((429,), RateLimitedError),
    StatusRule((409, 425, 500, 502, 503, 529), ServerError),
)
ANY_OTHER_STATUS = StatusRule((), MisconfiguredError, advice="check the address")


def status_failure(status: int, detail: str, source: str, retry_after_s: float = 0.0) -> EngineError:
    """The error that an endpoint's answer means.

    Args:
        status: any but 200.
        detail: the body, as it came.
        source: what answered, for the message.
        retry_after_s: how long it asked us to wait.
    """
    rule = next((rule for rule in STATUS_RULES if rule.fits(status, detail)), ANY_OTHER_STATUS)
    detail = detail.strip()[:_MAX_DETAIL_CHARS]
    if issubclass(rule.kind, RefusedRequestError):
        return rule.kind(detail)
    message = f"{source} answered {status}: {detail}{rule.advice and f'; {rule.advice}'}"
    if issubclass(rule.kind, TransientError):
        return rule.kind(message, retry_after_s=retry_after_s)
    return rule.kind(message)


def connection_failure(error: Exception, source: str) -> UnreachableError:
    """The error for a connection that was not made or broke off."""
    return UnreachableError(f"cannot reach {source} ({type(error).__name__}); check the address and that it is running")


def no_answer_in(timeout_s: float, error: Exception, source: str) -> EngineTimeoutError:
    """The error for a request that was not answered in time."""
    return EngineTimeoutError(
        f"{source} did not answer in {timeout_s:g} s ({type(error).__name__}); check that it runs and is not overloaded"
    )

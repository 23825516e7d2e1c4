"""The errors of judging, one tree: the leaves say at which boundary it failed, their parents what is done about it.

    RefusedInputError(ValueError)     a person gave something unusable and has to correct it
    EngineError(RuntimeError)         a request was not answered; nothing was judged
    ├─ TransientError                 RETRY: the same request may succeed later
    │  ├─ UnreachableError            no connection, or one that broke off
    │  ├─ EngineTimeoutError          no answer in time, by our clock or by the engine's (408, 504)
    │  ├─ RateLimitedError            more requests than it allows (429)
    │  ├─ MalformedAnswerError        it answered, but no chat completion (a page, no choices, an error in a 200)
    │  ├─ OverloadedError             it has more to do than it bears (503, 529)
    │  └─ ServerError                 it failed at its side (500, 502, 409, 425; a failure inside Ray)
    ├─ FatalError                     GIVE UP: no later request will succeed either
    │  ├─ MisconfiguredError          wrong key, model or address (401, 403, 404, redirects, any other status); where
    │  │                              `may_be_the_items` is set a firewall may have refused this item alone (403)
    │  ├─ QuotaExhaustedError         the account has no credit left (402; 429 and others that say so)
    │  ├─ BadRequestError             it does not take requests of this form (400, 422)
    │  ├─ NoTokenProbabilitiesError   it returns none, which mode `expected` needs
    │  ├─ OutageError                 nothing was answered for as long as the policy waits
    │  ├─ CallFailedError             one reflection failed again and again while others were answered
    │  ├─ TooManyNotJudgedError       more items than are allowed were not judged while others were
    │  ├─ WorkersFailedError          the workers do not run, or die of the same calls again and again
    │  └─ NoEngineError               there is nobody to ask, and the answer is not recorded
    └─ RefusedRequestError            JUDGE AS REFUSED: this request only, an invalid judgment with its reason
       ├─ ContentRefusedError         a filter or policy at the engine refuses these texts: `refusal`
       └─ PromptTooLongError          prompt and answer do not fit the model's context: `prompt_too_long` (also 413)

An item that alone gets no answer, be it for a transient failure, a bad request or a bug, is `not_judged`: the judgment
holds the cause, see `optimize_workers.evaluation.dispatch`. All other errors end what was asked.

Who decides catches a parent, who counts looks at the leaf (`type(error)`); what is raised is a leaf. What a status
means is `engines/failures.py`. A bad model reply is never an exception: it becomes an invalid `Judgment`.

Other boundaries have errors of their own: `BudgetExceededError` (optimize_workers/evaluation), `LedgerError`
(optimize_workers/ledger), `ModelCacheError` (serving/embedded_model.py), and those of the control plane,
`GateRefusedError` and `ServingFailedError` (cluster/failures.py). `cluster/commands/running.py` gives each its exit
status.
"""

from __future__ import annotations

from copy import copy
from typing import ClassVar, Self

from judge_serve.judging.judgment import InvalidReason


class RefusedInputError(ValueError):
    """Input or usage that a person has to correct; the message says what was found and what to do."""


class EngineError(RuntimeError):
    """A request was not answered; nothing was judged. The message says what failed and what to do about it.

    Attributes are set from keyword arguments that have defaults, so that Ray can carry errors between processes.
    """

    def with_advice(self, advice: str) -> Self:
        """The same error, its message followed by what to do."""
        advised = copy(self)
        advised.args = (f"{self}; {advice}",)
        return advised


class TransientError(EngineError):
    """The same request may succeed later.

    Args:
        message: what failed.
        retry_after_s: seconds that the engine asked us to wait, 0 if it named none.
    """

    def __init__(self, message: str, *, retry_after_s: float = 0.0) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


class UnreachableError(TransientError):
    """No connection to the engine, or one that broke off."""


class EngineTimeoutError(TransientError):
    """No answer in time."""


class RateLimitedError(TransientError):
    """The engine allows fewer requests than were sent."""


class MalformedAnswerError(TransientError):
    """The engine answered, but no chat completion."""


class OverloadedError(TransientError):
    """The engine has more to do than it bears."""


class ServerError(TransientError):
    """The engine failed at its side."""


class FatalError(EngineError):
    """No later request will succeed either."""


class MisconfiguredError(FatalError):
    """Wrong key, model or address.

    Args:
        message: what failed.
        may_be_the_items: whether it may be this request's text that is refused, if others are answered.
    """

    def __init__(self, message: str, *, may_be_the_items: bool = False) -> None:
        super().__init__(message)
        self.may_be_the_items = may_be_the_items


class QuotaExhaustedError(FatalError):
    """The account that pays for the engine has no credit left."""


class BadRequestError(FatalError):
    """The engine does not take requests of this form."""


class NoTokenProbabilitiesError(FatalError):
    """The engine returned no token probabilities where they were asked for."""


class OutageError(FatalError):
    """Nothing was answered for as long as the policy waits; the message holds the last reason."""


class CallFailedError(FatalError):
    """One reflection failed again and again while others were answered."""


class TooManyNotJudgedError(FatalError):
    """More items than are allowed were not judged while others were; the message names them and their causes."""


class WorkersFailedError(FatalError):
    """The workers do not run, or die of the same calls again and again."""


class NoEngineError(FatalError):
    """There is nobody to ask, and the answer is not recorded."""


class RefusedRequestError(EngineError):
    """This request only was refused; the judgment is invalid with `invalid_reason`, the message is its raw reply."""

    invalid_reason: ClassVar[InvalidReason]


class ContentRefusedError(RefusedRequestError):
    """A filter or policy at the engine refuses the texts of this request."""

    invalid_reason = InvalidReason.REFUSAL


class PromptTooLongError(RefusedRequestError):
    """The rendered prompt and its answer do not fit the model's context."""

    invalid_reason = InvalidReason.PROMPT_TOO_LONG

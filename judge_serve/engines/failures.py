"""What the failure of an endpoint means: one table from status and words to the class of the error.

The classes, and what is done about each, are drawn in `judge_serve.judging.errors`. Words are searched in what an error
says (`error_bodies`), not in what it repeats of the request.
"""

from __future__ import annotations

import re
import ssl
from collections.abc import Container, Iterator
from typing import NamedTuple

from judge_serve.engines.dialect import NO_SYSTEM_ROLE
from judge_serve.engines.error_bodies import ErrorBody, read_error
from judge_serve.judging.errors import (
    BadRequestError,
    ContentRefusedError,
    EngineError,
    EngineTimeoutError,
    MalformedAnswerError,
    MisconfiguredError,
    OverloadedError,
    PromptTooLongError,
    QuotaExhaustedError,
    RateLimitedError,
    RefusedRequestError,
    ServerError,
    TransientError,
    UnreachableError,
)


def _any_of(*words: str) -> re.Pattern[str]:
    return re.compile("|".join(words), re.IGNORECASE | re.MULTILINE)


TOO_LONG = _any_of(
    # OpenAI, vLLM, Mistral, Together, NIM, and many behind them
    r"context_length_exceeded|max(?:imum)? context (?:length|window)|context window",
    r"max_model_len|longer than the (?:maximum model|model'?s? context) length|maximum model length",
    r"max_(?:completion_)?tokens must be at least 1, got -\d",  # vLLM: the prompt left less than no room
    r"messages\[\d+\]\S* string too long",
    # SGLang, Gemini, xAI
    r"exceeds? the (?:model'?s? )?(?:available |maximum )?(?:context|model length|input|number of (?:input )?tokens)",
    r"exceeds? the maximum allowed length|maximum prompt length",
    # TGI
    r"`inputs`.{0,40} must (?:have less than|be <=) \d+",
    # llama.cpp, LM Studio
    r"exceed_context_size|context size has been exceeded|input is too large to process",
    r"when context the overflows|mid-generation context overflow|greater than the context length",
    # Groq, Cohere, DeepSeek
    r"reduce the length of (?:the|your) (?:messages|prompt)|reduce your message size|too many tokens: ",
    r"length of prompt_tokens \(\d+\) must be less than",
    # Anthropic, Bedrock, Databricks, Alibaba
    r"prompt is too long|exceed context limit|request_too_large|input is too long|too many input tokens",
    r"expected maxLength: \d+, actual: \d+|input tokens exceed|max input tokens|range of input length should be",
    # TensorRT-LLM
    r"prompt length.{0,40} (?:exceeds?|should not exceed) (?:maximum|max_)|larger than max_seq_len",
    r"exceeds? max_input_len|default_max_tokens \(-\d+\) must be greater than 0",
    # OpenAI: larger than all that a minute allows, so it never passes
    r"request too large for",
)
REFUSED_BY_A_FILTER = _any_of(
    # OpenAI, Azure
    r"content[_ -]?filter|content management policy|ResponsibleAIPolicy|invalid_prompt",
    r"content[_ -]?policy|policy[_ -]violation|usage polic(?:y|ies)|violat\w* .{0,40}polic(?:y|ies)",
    r"\bsafety[_ ](?:system|filter|check|polic|setting|reason|guideline|concern|violation)|^safety$|safety_error",
    # OpenRouter, Together, Mistral
    r"\bmoderation\b|moderation_blocked|\b(?:was|were|been|is|got) flagged\b|flagged (?:by|as|for)\b",
    # Gemini, Bedrock, NIM
    r"PROHIBITED_CONTENT|\bBLOCKLIST\b|\bSPII\b|\bguardrails?\b|guardrail_intervened",
    r"\b(?:prompt|request|content|input|response|text|message)s? (?:is |was |were |has been |have been )?blocked",
    r"\bblocked (?:by|due to|for) .{0,40}(?:policy|filter|safety|content|guard)",
    # Alibaba, Zhipu, MiniMax
    r"data_?inspection_?failed|inappropriate content|(?:unsafe|sensitive|harmful) content|new_sensitive",
)
ABOUT_THE_ACCOUNT = _any_of(
    r"\b(?:account|organi[sz]ation|project|api[ _-]?key|ip(?: address)?)\b.{0,30}"
    r"\b(?:blocked|flagged|suspended|deactivated|disabled|restricted|banned|terminated)\b",
    r"you have been blocked|account_deactivated",
)
NO_CREDIT = _any_of(
    r"insufficient[_ -](?:user[_ ])?(?:quota|balance|credits?|funds)|exceeded your current quota",
    r"billing_(?:hard_limit|not_active)|billing details|credit balance is too low|out of credits|more credits",
    r"payment required|spend(?:ing)? limit|arrearage",
)
# Gemini says "exceeded your current quota" of its limits per minute as well
PASSING_LIMIT = _any_of(r"(?:retry|try again) (?:in|after) \d|per[ _]?minute|per[ _]?second|\b[TR]PM\b")
_MAX_DETAIL_CHARS = 300
_NO_TLS = frozenset({"WRONG_VERSION_NUMBER", "RECORD_LAYER_FAILURE", "HTTP_REQUEST"})  # OpenSSL's words for plain HTTP


class StatusRule(NamedTuple):
    """What some statuses mean.

    Attributes:
        words: what the answer must say as well, if anything.
        advice: what to do, at the end of the message.
        may_be_the_items: whether a firewall may have refused this request's text, if others are answered.
    """

    statuses: Container[int]
    kind: type[EngineError]
    words: re.Pattern[str] | None = None
    advice: str = ""
    may_be_the_items: bool = False

    def fits(self, status: int, said: str) -> bool:
        """Whether an answer is meant."""
        return status in self.statuses and (self.words is None or self.words.search(said) is not None)


_CREDIT = "add credit at the provider, or choose another endpoint"
# tried from the top, the first that fits decides
STATUS_RULES = (
    StatusRule((*range(400, 500), 500), PromptTooLongError, words=TOO_LONG),
    StatusRule((429,), RateLimitedError, words=PASSING_LIMIT),
    StatusRule((400, 403, 429), QuotaExhaustedError, words=NO_CREDIT, advice=_CREDIT),
    StatusRule((402,), QuotaExhaustedError, advice=_CREDIT),
    StatusRule(
        (400, 403), MisconfiguredError, ABOUT_THE_ACCOUNT, "ask the provider about the account", may_be_the_items=True
    ),
    StatusRule((400, 403, 422, 451), ContentRefusedError, words=REFUSED_BY_A_FILTER),
    StatusRule((413,), PromptTooLongError),
    StatusRule(
        range(300, 400), MisconfiguredError, advice="write the address that it points to, without /chat/completions"
    ),
    StatusRule((401,), MisconfiguredError, advice="check RELEVANCE_JUDGE_MODEL_KEY"),
    StatusRule((403,), MisconfiguredError, advice="check RELEVANCE_JUDGE_MODEL_KEY", may_be_the_items=True),
    StatusRule((404,), MisconfiguredError, advice="check the model name after '#' and the address"),
    StatusRule((500,), BadRequestError, words=NO_SYSTEM_ROLE),  # llama.cpp: what its chat template says
    StatusRule((400, 422), BadRequestError),
    StatusRule((408, 504), EngineTimeoutError),
    StatusRule((429,), RateLimitedError),
    StatusRule((503, 529), OverloadedError),
    StatusRule((409, 425, 500, 502), ServerError),
)
ANY_OTHER_STATUS = StatusRule((), MisconfiguredError, advice="check the address", may_be_the_items=True)


def status_failure(status: int, detail: str, source: str, retry_after_s: float = 0.0) -> EngineError:
    """The error that an endpoint's answer means.

    Args:
        status: any but 200.
        detail: the body, as it came.
        source: what answered, for the message.
        retry_after_s: how long it asked us to wait.
    """
    rule = rule_of(status, read_error(detail))
    detail = detail.strip()[:_MAX_DETAIL_CHARS]
    if issubclass(rule.kind, RefusedRequestError):
        return rule.kind(detail or f"{source} answered {status}")
    message = f"{source} answered {status}: {detail}{rule.advice and f'; {rule.advice}'}"
    if issubclass(rule.kind, TransientError):
        return rule.kind(message, retry_after_s=retry_after_s)
    if issubclass(rule.kind, MisconfiguredError):
        return rule.kind(message, may_be_the_items=rule.may_be_the_items)
    return rule.kind(message)


def rule_of(status: int, error: ErrorBody) -> StatusRule:
    """The rule that decides on an answer."""
    return next((rule for rule in STATUS_RULES if rule.fits(status, error.words)), ANY_OTHER_STATUS)


def failure_in_success(error: ErrorBody, source: str) -> EngineError:
    """The error that a 200 carries: as if it had come with its status; one without a status may pass."""
    if error.status is not None:
        return status_failure(error.status, error.words, source)
    if issubclass(rule_of(400, error).kind, RefusedRequestError | QuotaExhaustedError):
        return status_failure(400, error.words, source)
    return MalformedAnswerError(f"{source} answered 200 with an error: {error.words[:_MAX_DETAIL_CHARS]}")


def connection_failure(error: Exception, source: str) -> EngineError:
    """The error for a connection that was not made or broke off."""
    for cause in _causes(error):
        if isinstance(cause, ssl.SSLCertVerificationError):
            return MisconfiguredError(
                f"{source} is not trusted ({getattr(cause, 'verify_message', cause)}); set SSL_CERT_FILE to a file "
                "with the certificate of the authority that signed for it"
            )
        reason = getattr(cause, "reason", None)  # set by OpenSSL only
        if isinstance(cause, ssl.SSLError) and reason in _NO_TLS:
            return MisconfiguredError(f"{source} does not speak TLS ({reason}); write http:// or check the port")
    return UnreachableError(f"cannot reach {source} ({type(error).__name__}); check the address and that it is running")


def no_answer_in(timeout_s: float, error: Exception, source: str) -> EngineTimeoutError:
    """The error for a request that was not answered in time."""
    return EngineTimeoutError(
        f"{source} did not answer in {timeout_s:g} s ({type(error).__name__}); check that it runs and is not overloaded"
    )


def _causes(error: BaseException) -> Iterator[BaseException]:
    """The error and what it came from."""
    seen: list[BaseException] = []
    cause: BaseException | None = error
    while cause is not None and cause not in seen:
        yield cause
        seen.append(cause)
        cause = cause.__cause__ or cause.__context__

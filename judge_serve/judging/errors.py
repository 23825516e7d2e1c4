"""Exceptions of the judging layer: refused input, and engines that did not do their work.

A bad model reply is never an exception: it becomes an invalid `Judgment`.
"""

from __future__ import annotations


class RefusedInputError(ValueError):
    """Input or usage that a person has to correct; the message says what was found and what to do."""


class EngineError(RuntimeError):
    """The engine did not answer (connection, time-out, overload, refused request); nothing was judged.

    Args:
        message: what failed and what to do about it.
        is_retryable: whether the same request may succeed later.
        retry_after_s: seconds the engine asked us to wait, if it said so.
    """

    def __init__(self, message: str, *, is_retryable: bool = True, retry_after_s: float | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.is_retryable = is_retryable
        self.retry_after_s = retry_after_s

    def __reduce__(self) -> tuple[object, ...]:
        """Keep the keyword arguments when Ray carries the error between processes."""
        return (_rebuild_engine_error, (type(self), self.message, self.is_retryable, self.retry_after_s))


class PromptTooLongError(EngineError):
    """The rendered prompt and its answer do not fit the model's context; judged as `prompt_too_long`."""

    def __init__(self, message: str, *, is_retryable: bool = False, retry_after_s: float | None = None) -> None:
        super().__init__(message, is_retryable=is_retryable, retry_after_s=retry_after_s)


def _rebuild_engine_error(
    kind: type[EngineError], message: str, is_retryable: bool, retry_after_s: float | None
) -> EngineError:
    return kind(message, is_retryable=is_retryable, retry_after_s=retry_after_s)

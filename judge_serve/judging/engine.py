"""The engine protocol: anything that completes a chat request (Serve handle, HTTP endpoint, scripted)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol


@dataclass(frozen=True, slots=True)
class EngineRequest:
    """One chat completion.

    Attributes:
        messages: chat turns with `role` and `content`.
        max_tokens: upper bound of generated tokens.
        temperature: 0 is greedy.
        frequency_penalty: 0-2, lowers the odds of tokens by how often they were generated; breaks loops.
        json_schema: constrain the reply to this schema, if set.
        choices: constrain the reply to one of these texts, if set.
        top_logprobs: how many alternatives of the first token to return; 0 for none.
    """

    messages: tuple[dict[str, str], ...]
    max_tokens: int
    temperature: float = 0.0
    frequency_penalty: float = 0.0
    seed: int | None = None
    json_schema: dict[str, Any] | None = None
    choices: tuple[str, ...] | None = None
    top_logprobs: int = 0


@dataclass(frozen=True, slots=True)
class EngineReply:
    """What came back, unread.

    Attributes:
        first_token_logprobs: (token, natural log probability) alternatives of the first generated token;
            None where the engine did not return any.
        model: the name that the engine gives to the model that answered.
        system_fingerprint: what it says of the set-up that answered.
    """

    text: str
    finish_reason: str
    prompt_tokens: int = 0
    completion_tokens: int = 0
    first_token_logprobs: tuple[tuple[str, float], ...] | None = None
    model: str | None = None
    system_fingerprint: str | None = None


class Engine(Protocol):
    """Completes requests of one model; safe for many concurrent calls."""

    @property
    def model(self) -> str:
        """Name of the model that answers."""
        ...

    async def complete(self, request: EngineRequest) -> EngineReply:
        """Answer one request, sent once.

        Raises:
            EngineError: nothing was answered; the class says what to do about it, see `errors`.
        """
        ...

    async def close(self) -> None:
        """Release connections; the engine is not used afterwards."""
        ...

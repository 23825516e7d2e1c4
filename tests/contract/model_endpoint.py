"""A model behind an endpoint that rates by what it is asked, and that can change, flip, fail and be renamed."""

from __future__ import annotations

import hashlib
import json
import random
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from tests.contract.endpoints import Answer, Endpoint, Received, json_answer


class ModelEndpoint(Endpoint):
    """See the module.

    Attributes:
        salt: of the ratings; another one gives another rating to four in five.
        reported, fingerprint: what it says of itself, None where it says nothing.
        chance: share of the answers that are another rating for once.
        failing: the answer to all while it is set.
    """

    def __init__(self) -> None:
        super().__init__()
        self.salt = "first"
        self.reported: str | None = "m-2026"
        self.fingerprint: str | None = None
        self.chance = 0.0
        self.failing: Answer | None = None
        self.answer = self._answer
        self._random = random.Random(0)

    @property
    def num_asked(self) -> int:
        """Completions that were asked for so far."""
        return sum(bool(received.body) for received in self.received)

    def _answer(self, received: Received) -> Answer:
        if self.failing is not None:
            return self.failing
        asked = json.dumps(received.body["messages"]) + self.salt
        rating = int(hashlib.sha256(asked.encode()).hexdigest(), 16) % 5 + 1
        if self._random.random() < self.chance:
            rating = rating % 5 + 1
        text = json.dumps({"rating": rating, "explanation": "It says so."})
        choice = {"message": {"content": text}, "finish_reason": "stop"}
        body: dict[str, Any] = {"choices": [choice], "usage": {"prompt_tokens": 50, "completion_tokens": 9}}
        shown = {"model": self.reported, "system_fingerprint": self.fingerprint}
        return json_answer(body | {name: value for name, value in shown.items() if value is not None})


@contextmanager
def model_endpoint() -> Iterator[ModelEndpoint]:
    """A model behind an endpoint, as long as it is used."""
    opened = ModelEndpoint()
    try:
        yield opened
    finally:
        opened.close()

"""An OpenAI-compatible endpoint over HTTP that fails as told, changes its model as told, and keeps what it replied.

For load tests and benchmarks only. Its rating of a text is a pure function of the text and of the model that stands
behind it just now; what it does badly is told beforehand by the text of the user turn, so that no order of arrival
decides about it.
"""

from __future__ import annotations

import json
import random
import socket
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from enum import StrEnum
from hashlib import blake2b
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, NamedTuple

RATINGS = 5
TRICKLE_S = 4.0  # in all, far beyond the deadline of any call that meets it


class Fault(StrEnum):
    """What may happen to a request; the first two are about its text, the others about the moment."""

    REFUSAL = "refusal"
    TOO_LONG = "too_long"
    RATE_LIMIT = "rate_limit"
    UNAVAILABLE = "unavailable"
    TRICKLE = "trickle"
    RESET = "reset"
    PAGE = "page"
    ERROR_IN_200 = "error_in_200"


OF_THE_TEXT = (Fault.REFUSAL, Fault.TOO_LONG)
OF_THE_MOMENT = tuple(fault for fault in Fault if fault not in OF_THE_TEXT)
_STATUS_BODIES: dict[Fault, tuple[int, dict[str, Any]]] = {
    Fault.REFUSAL: (400, {"error": {"code": "content_filter", "message": "the prompt was filtered"}}),
    Fault.TOO_LONG: (
        400,
        {
            "error": {
                "code": "context_length_exceeded",
                "message": "This model's maximum context length is 4096 tokens, your messages resulted in 5000 tokens.",
            }
        },
    ),
    Fault.RATE_LIMIT: (429, {"error": {"message": "slow down"}}),
    Fault.UNAVAILABLE: (503, {"error": {"message": "overloaded"}}),
    Fault.ERROR_IN_200: (200, {"error": {"code": 503, "message": "the provider failed"}}),
}


class Trouble(NamedTuple):
    """What a text meets: a fault, and how often before it is answered; None means always."""

    fault: Fault
    times: int | None


class FaultyEndpoint:
    """See the module; all methods may be called while it serves.

    Attributes:
        base_url: where it answers.
        replied: ratings of complete replies, by the user turn that they answered; kept until `forget_replies`.
    """

    def __init__(self, seed: int = 0) -> None:
        self.base_url = ""
        self.replied: dict[str, Counter[int]] = defaultdict(Counter)
        self._lock = threading.Lock()
        self._random = random.Random(seed)
        self._troubles: dict[str, Trouble] = {}
        self._met: Counter[str] = Counter()
        self._numbers: dict[str, int] = {}
        self._changes: list[float] = []
        self._flip_share = 0.0

    def trouble(self, troubles: dict[str, Trouble]) -> None:
        """From now on texts that hold one of these words meet what stands with it, and no other meets anything."""
        with self._lock:
            self._troubles, self._met = dict(troubles), Counter()

    def change_model(self, share: float) -> None:
        """Another model answers from now on: its rating differs on this share of the texts, evenly among them."""
        with self._lock:
            self._changes.append(share)

    def flip(self, share: float) -> None:
        """From now on this share of the replies has another rating by chance, as batched decoding may."""
        with self._lock:
            self._flip_share = share

    def forget_replies(self) -> None:
        """Begin to keep replies anew."""
        with self._lock:
            self.replied = defaultdict(Counter)

    def answer(self, text: str) -> tuple[Fault | None, str]:
        """What a user turn meets now, and the reply where it meets nothing."""
        with self._lock:
            fault = self._next_fault(text)
            return fault, "" if fault else json.dumps({"rating": self._rating(text), "explanation": "as it is"})

    def note(self, text: str, reply: str) -> None:
        """A reply is about to be sent whole."""
        with self._lock:
            self.replied[text][json.loads(reply)["rating"]] += 1

    def _next_fault(self, text: str) -> Fault | None:
        word = next((word for word in self._troubles if word in text), None)
        if word is None:
            return None
        trouble = self._troubles[word]
        self._met[word] += 1
        return trouble.fault if trouble.times is None or self._met[word] <= trouble.times else None

    def _rating(self, text: str) -> int:
        number = self._numbers.setdefault(text, len(self._numbers))
        rating = _draw(text, 0) % RATINGS
        for change, share in enumerate(self._changes, 1):
            if int((number + 1) * share) > int(number * share):  # evenly spread: of any n neighbours about n * share
                rating = (rating + 1 + _draw(text, change) % (RATINGS - 1)) % RATINGS  # no model comes back
        if self._random.random() < self._flip_share:
            rating = (rating + 1) % RATINGS
        return rating + 1


def _draw(text: str, change: int) -> int:
    return blake2b(f"{change} {text}".encode(), digest_size=2).digest()[0]


@contextmanager
def serving(endpoint: FaultyEndpoint) -> Iterator[FaultyEndpoint]:
    """Serve it on a free port of the loopback address until the end."""
    handler = type("Handler", (_Handler,), {"endpoint": endpoint})
    server = _Server(("127.0.0.1", 0), handler)
    endpoint.base_url = f"http://127.0.0.1:{server.server_address[1]}/v1"
    thread = threading.Thread(target=server.serve_forever, name="faulty-endpoint", daemon=True)
    thread.start()
    try:
        yield endpoint
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 512

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Clients hang up on what trickles: that is what it is for."""


class _Handler(BaseHTTPRequestHandler):
    endpoint: FaultyEndpoint
    protocol_version = "HTTP/1.1"

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing."""

    def do_GET(self) -> None:
        """The list of models; nothing else is there."""
        if self.path == "/v1/models":
            self._send(200, {"object": "list", "data": [{"id": "m", "object": "model", "owned_by": "benchmark"}]})
        else:
            self._send(404, {"error": {"message": "not here"}})

    def do_POST(self) -> None:
        """A chat completion, or what its text meets."""
        request = json.loads(self.rfile.read(int(self.headers["content-length"])))
        text = request["messages"][-1]["content"]
        fault, reply = self.endpoint.answer(text)
        if fault is None:
            self.endpoint.note(text, reply)
            self._send(200, _completion(request["model"], reply))
        elif fault in _STATUS_BODIES:
            self._send(*_STATUS_BODIES[fault])
        elif fault is Fault.PAGE:
            self._send_bytes(200, b"<html><body>Sign in</body></html>", "text/html")
        elif fault is Fault.RESET:
            self._reset()
        else:
            self._trickle(json.dumps(_completion(request["model"], reply or "{}")).encode())

    def _send(self, status: int, body: dict[str, Any]) -> None:
        self._send_bytes(status, json.dumps(body).encode(), "application/json")

    def _send_bytes(self, status: int, body: bytes, kind: str) -> None:
        self.send_response(status)
        self.send_header("content-type", kind)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def _reset(self) -> None:
        """End the connection with a reset in the middle of the answer's head."""
        self.wfile.write(b"HTTP/1.1 200 OK\r\ncontent-le")
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        self.close_connection = True
        self.connection.close()

    def _trickle(self, body: bytes) -> None:
        self.send_response(200)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        ends_at = time.monotonic() + TRICKLE_S
        for byte in body:
            self.wfile.write(bytes([byte]))
            self.wfile.flush()
            time.sleep(0.1)
            if time.monotonic() > ends_at:
                break
        self.close_connection = True


def _completion(model: str, reply: str) -> dict[str, Any]:
    return {
        "id": "chatcmpl-0",
        "object": "chat.completion",
        "model": model,
        "choices": [{"index": 0, "message": {"role": "assistant", "content": reply}, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 100, "completion_tokens": 12, "total_tokens": 112},
    }

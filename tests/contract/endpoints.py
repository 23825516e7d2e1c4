"""An OpenAI-compatible endpoint on loopback that answers as told, and what every engine test asks."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, NamedTuple

from judge_serve.judging import Engine, EngineReply, EngineRequest

REQUEST = EngineRequest(({"role": "user", "content": "Is 2 < 3? \u00e9\U0001f600"},), max_tokens=16, seed=7)
GOOD = EngineReply("r\u00e9ply\n", "stop", prompt_tokens=120, completion_tokens=9)
TOO_LONG = "This model's maximum context length is 4096 tokens. However, you requested 9000 tokens."


def completion(reply: EngineReply) -> dict[str, Any]:
    """The chat completion that says what a reply says."""
    choice: dict[str, Any] = {"message": {"content": reply.text}, "finish_reason": reply.finish_reason}
    if reply.first_token_logprobs is not None:
        alternatives = [{"token": token, "logprob": logprob} for token, logprob in reply.first_token_logprobs]
        choice["logprobs"] = {"content": [{"token": "4", "logprob": -0.1, "top_logprobs": alternatives}]}
    usage = {"prompt_tokens": reply.prompt_tokens, "completion_tokens": reply.completion_tokens}
    return {"choices": [choice], "usage": usage}


class Answer(NamedTuple):
    """What the endpoint sends for one request, after a delay, and with one between any two bytes."""

    body: bytes
    status: int = 200
    headers: dict[str, str] = {}  # noqa: RUF012
    delay_s: float = 0.0
    byte_delay_s: float = 0.0


def json_answer(body: Any, status: int = 200) -> Answer:
    """An answer in JSON."""
    return Answer(json.dumps(body).encode(), status)


class Received(NamedTuple):
    """What the endpoint was sent."""

    path: str
    headers: dict[str, str]
    body: dict[str, Any]


Answering = Answer | Callable[[Received], Answer]


class Endpoint:
    """A real HTTP server on loopback that gives an answer, the same to everything or one that depends on the request.

    It remembers what it got.
    """

    def __init__(self) -> None:
        self.answer: Answering = Answer(b"{}")
        self.received: list[Received] = []
        self.pages: dict[str, Any] = {}  # what is answered to a GET, by path
        self._leaving = threading.Event()
        endpoint = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                headers = {name.lower(): value for name, value in self.headers.items()}
                received = Received(self.path, headers, json.loads(body))
                endpoint.received.append(received)
                answer = endpoint.answer if isinstance(endpoint.answer, Answer) else endpoint.answer(received)
                endpoint._leaving.wait(answer.delay_s)
                self.send_response(answer.status)
                for name, value in {"content-length": str(len(answer.body)), **answer.headers}.items():
                    self.send_header(name, value)
                self.end_headers()
                if not answer.byte_delay_s:
                    self.wfile.write(answer.body)
                    return
                for byte in answer.body:
                    self.wfile.write(bytes([byte]))
                    endpoint._leaving.wait(answer.byte_delay_s)

            def do_GET(self) -> None:
                body = json.dumps(endpoint.pages.get(self.path)).encode()
                self.send_response(200 if self.path in endpoint.pages else 404)
                self.send_header("content-length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_details: object) -> None:
                """Say nothing."""

        class Server(ThreadingHTTPServer):
            request_queue_size = 128

            def handle_error(self, *_details: object) -> None:
                """Callers that time out leave broken pipes."""

        self._server = Server(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}/v1"
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01})
        self._thread.start()

    def close(self) -> None:
        """Stop and wait for open requests."""
        self._leaving.set()
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


def complete(engine: Engine, request: EngineRequest = REQUEST) -> EngineReply:
    async def complete_and_close() -> EngineReply:
        try:
            return await engine.complete(request)
        finally:
            await engine.close()

    return asyncio.run(complete_and_close())

"""Serving the review page from this process until it is told to stop."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import uvicorn

from cluster.review.app import build_app
from cluster.review.desk import Desk
from cluster.review.door import TOKEN, Door
from judge_serve.judging.errors import RefusedInputError

STOP_S = 5.0  # how long answers under way may take at the end


@dataclass(frozen=True)
class ServedPage:
    """A page that is served.

    Attributes:
        address: `http://HOST:PORT`.
        door: what lets people in.
    """

    address: str
    door: Door

    @property
    def url(self) -> str:
        """For people who open it by hand, as often as they like; never for a command line."""
        return f"{self.address}/?{TOKEN}={self.door.access_token}"

    def url_for_once(self) -> str:
        """A URL that opens the page once and soon, for a browser's command line, which others can read."""
        return f"{self.address}/?{TOKEN}={self.door.new_pass()}"


@contextmanager
def serve_page(desk: Desk, host: str, port: int) -> Iterator[ServedPage]:
    """Serve a desk on an address, port 0 being any free one.

    Raises: RefusedInputError if the address cannot be listened on.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as listening:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listening.bind((host, port))
            listening.listen()  # whoever comes before the server runs waits
        except OSError as error:
            raise RefusedInputError(
                f"--host {host} --port {port} cannot be listened on ({error.strerror or error}); choose another"
            ) from error
        bound = listening.getsockname()[1]
        door = Door(host, bound)
        config = uvicorn.Config(
            build_app(desk, door), log_config=None, access_log=False, server_header=False, lifespan="off"
        )
        config.timeout_graceful_shutdown = int(STOP_S)
        server = uvicorn.Server(config)
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]}, name="review-page", daemon=True)
        thread.start()
        try:
            named = f"[{host}]" if family == socket.AF_INET6 else host
            yield ServedPage(f"http://{named}:{bound}", door)
        finally:
            server.should_exit = True
            thread.join(STOP_S + 1.0)

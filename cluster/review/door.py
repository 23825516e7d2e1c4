"""The door of the review page: who may come in, and what pages may do.

A page of another site must neither read nor act: every request needs the access token (in the URL once, then in a
cookie that other sites cannot send), a known host name (so that no foreign name can be pointed at this machine), and an
action also the page's own origin and the form token.
"""

from __future__ import annotations

import secrets
from collections.abc import Awaitable, Callable
from urllib.parse import parse_qsl, urlencode, urlsplit

from fastapi import Request, Response
from fastapi.responses import PlainTextResponse, RedirectResponse

LOOPBACK_NAMES = ("127.0.0.1", "localhost", "::1")
MAX_FORM_BYTES = 200_000
TOKEN = "token"  # its name in the URL
HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; form-action 'self'; "
        "base-uri 'none'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
}


class Door:
    """Tokens of one process, and the checks of its requests.

    Args:
        host: where the page listens; on another than loopback any host name is taken, as its names are not known here.
        port: where it listens.
    """

    def __init__(self, host: str, port: int) -> None:
        self.is_local = host in LOOPBACK_NAMES
        self.access_token = secrets.token_urlsafe(24)
        self.form_token = secrets.token_urlsafe(24)
        self._cookie = f"review-{port}"  # cookies do not tell ports apart

    async def check(self, request: Request, go_on: Callable[[Request], Awaitable[Response]]) -> Response:
        """Let a request pass or refuse it; all answers get the headers."""
        response = self._refusal(request) or self._entry(request) or await go_on(request)
        response.headers.update(HEADERS)
        return response

    def accepts_form(self, token: str) -> bool:
        """Whether a form came from a page of this process."""
        return _are_equal(token, self.form_token)

    def _refusal(self, request: Request) -> Response | None:
        host = request.headers.get("host", "")
        if self.is_local and _name_of(host) not in LOOPBACK_NAMES:
            return PlainTextResponse(f"unknown host {host!r}; open the address that the command printed", 421)
        if request.method not in ("GET", "HEAD"):
            origin = request.headers.get("origin")
            if origin is not None and origin != f"http://{host}":
                return PlainTextResponse(f"an action from {origin} is refused", 403)
        given = request.cookies.get(self._cookie, ""), request.query_params.get(TOKEN, "")
        if not any(_are_equal(token, self.access_token) for token in given):
            return PlainTextResponse("open the whole address that the command printed, with its token", 403)
        return None

    def _entry(self, request: Request) -> Response | None:
        """The token moves from the URL into a cookie, so that it stays out of history and bookmarks."""
        if TOKEN not in request.query_params or request.method != "GET":
            return None
        rest = [(name, value) for name, value in request.query_params.multi_items() if name != TOKEN]
        target = "/" + request.url.path.lstrip("/") + (f"?{urlencode(rest)}" if rest else "")
        response = RedirectResponse(target, 303)
        response.set_cookie(self._cookie, self.access_token, httponly=True, samesite="strict")
        return response


async def read_form(request: Request) -> dict[str, str]:
    """The fields of a URL-encoded form, the last of each name.

    Raises: ValueError if it is larger than `MAX_FORM_BYTES` or not UTF-8.
    """
    body = b""
    async for part in request.stream():
        body += part
        if len(body) > MAX_FORM_BYTES:
            raise ValueError(f"a form of more than {MAX_FORM_BYTES} bytes")
    return dict(parse_qsl(body.decode("ascii"), keep_blank_values=True, errors="strict"))


def _are_equal(given: str, own: str) -> bool:
    return secrets.compare_digest(given.encode("utf-8", "replace"), own.encode())


def _name_of(host: str) -> str:
    """The name in a Host header, without its port."""
    try:
        return urlsplit(f"//{host}").hostname or ""
    except ValueError:
        return ""

"""The door of the review page: who may come in, and what pages may do.

A page of another site must neither read nor act: every request needs the session's cookie (which other sites cannot
send), a known host name (so that no foreign name can be pointed at this machine), and an action also the page's own
origin and the form token. The cookie is given for a token in the URL: the access token, which is printed for people and
good for as long as the page is served, or a pass, which stands in a browser's command line for others to see and is
good for one exchange within a minute. No secret serves in place of another.
"""

from __future__ import annotations

import secrets
import threading
import time
from collections.abc import Awaitable, Callable
from urllib.parse import parse_qsl, urlencode, urlsplit

from fastapi import Request, Response
from fastapi.responses import PlainTextResponse, RedirectResponse

LOOPBACK_NAMES = ("127.0.0.1", "localhost", "::1")
MAX_FORM_BYTES = 200_000
PASS_LIFE_S = 60.0  # a browser that starts on a slow machine takes a while
TOKEN = "token"  # the name in the URL, of the access token and of passes
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


_NO_TOKEN = "open the whole address that the command printed, with its token"
_BAD_TOKEN = (
    "this address was used already, is older than a minute or of an earlier start; open the one that the command "
    "printed. If your browser opened this one for the first time just now, somebody else on this machine was faster: "
    "stop the command by Ctrl-C"
)


class Door:
    """Secrets of one process, and the checks of its requests.

    Args:
        host: where the page listens; on another than loopback any host name is taken, as its names are not known here.
        port: where it listens.
        clock: seconds that only rise.
    """

    def __init__(self, host: str, port: int, clock: Callable[[], float] = time.monotonic) -> None:
        self.is_local = host in LOOPBACK_NAMES
        self.access_token = secrets.token_urlsafe(24)
        self.form_token = secrets.token_urlsafe(24)
        self._session = secrets.token_urlsafe(24)
        self._cookie = f"review-{port}"  # cookies do not tell ports apart
        self._clock = clock
        self._lock = threading.Lock()  # passes are made by one thread and taken by another
        self._passes: dict[str, float] = {}  # until when each is good

    def new_pass(self) -> str:
        """A token that opens the page once, within `PASS_LIFE_S`."""
        made = secrets.token_urlsafe(24)
        with self._lock:
            self._passes[made] = self._clock() + PASS_LIFE_S
        return made

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
        return None

    def _entry(self, request: Request) -> Response | None:
        """A token in the URL becomes a cookie, so that it stays out of history and bookmarks; without one, no entry."""
        is_known = _are_equal(request.cookies.get(self._cookie, ""), self._session)
        token = request.query_params.get(TOKEN)
        if token is None or request.method != "GET":
            return None if is_known else PlainTextResponse(_NO_TOKEN, 403)
        if not (self._opens(token) or is_known):  # a pass is used up also by who is in already
            return PlainTextResponse(_BAD_TOKEN, 403)
        rest = [(name, value) for name, value in request.query_params.multi_items() if name != TOKEN]
        target = "/" + request.url.path.lstrip("/") + (f"?{urlencode(rest)}" if rest else "")
        response = RedirectResponse(target, 303)
        response.set_cookie(self._cookie, self._session, httponly=True, samesite="strict")
        return response

    def _opens(self, token: str) -> bool:
        """Whether a token lets somebody in; a pass does so once."""
        if _are_equal(token, self.access_token):
            return True
        now = self._clock()
        with self._lock:
            self._passes = {own: until for own, until in self._passes.items() if now < until}
            meant = next((own for own in self._passes if _are_equal(token, own)), None)
            if meant is not None:
                del self._passes[meant]
        return meant is not None


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

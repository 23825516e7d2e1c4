"""The review page as a FastAPI application: routes over a desk, behind the door."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlencode

from fastapi import FastAPI, Request, Response
from fastapi.responses import HTMLResponse, PlainTextResponse, RedirectResponse
from fastapi.staticfiles import StaticFiles
from starlette.concurrency import run_in_threadpool

from cluster.review.desk import ChangedMeanwhileError, Desk, RefusedActionError, Written
from cluster.review.door import Door, read_form
from cluster.review.exporting import export_lines
from cluster.review.pages import Pages
from optimize_workers.ledger import LedgerError

_STATIC = Path(__file__).parent / "static"


def build_app(desk: Desk, door: Door) -> FastAPI:
    """The application; it holds no state but the desk's."""
    app = FastAPI(title="relevance-judge review", openapi_url=None, docs_url=None, redoc_url=None)
    app.middleware("http")(door.check)
    app.add_exception_handler(LedgerError, _on_ledger_error)
    app.mount("/static", StaticFiles(directory=_STATIC), name="static")
    pages = Pages(desk, door.form_token)
    _add_pages(app, desk, pages)
    _add_actions(app, desk, door, pages)
    return app


def _add_pages(app: FastAPI, desk: Desk, pages: Pages) -> None:
    """What is only read."""

    @app.get("/", response_class=HTMLResponse)
    def queue(request: Request) -> str:
        return pages.queue(pages.chosen(request.query_params))

    @app.get("/pair/{number}")
    def pair(request: Request, number: int) -> Response:
        if not 0 <= number < len(desk.entries):
            return _no_pair(number, desk)
        is_whole = request.query_params.get("whole") == "1"
        return HTMLResponse(pages.pair(number, pages.chosen(request.query_params), is_whole=is_whole))

    @app.get("/bias", response_class=HTMLResponse)
    def bias() -> str:
        return pages.bias()

    @app.get("/export.jsonl")
    def export() -> Response:
        events = desk.events()
        if not events:
            return PlainTextResponse("nothing was reviewed in this run yet", 404)
        content = "".join(export_lines(events))
        headers = {"Content-Disposition": 'attachment; filename="review.jsonl"'}
        return Response(content, media_type="application/x-ndjson", headers=headers)


def _add_actions(app: FastAPI, desk: Desk, door: Door, pages: Pages) -> None:
    """What stores something; each comes with the form of a page that the door knows."""

    @app.post("/pair/{number}")
    async def act(request: Request, number: int) -> Response:
        return await with_form(request, lambda form: _act(desk, pages, request, number, form))

    @app.post("/undo")
    async def undo(request: Request) -> Response:
        return await with_form(request, lambda _form: _to(desk.undo(), pages.chosen(request.query_params)))

    async def with_form(request: Request, work: Callable[[dict[str, str]], Response]) -> Response:
        try:
            form = await read_form(request)
        except ValueError as error:
            return PlainTextResponse(f"the form cannot be read: {error}", 422)
        if not door.accepts_form(form.get("form_token", "")):
            return PlainTextResponse("this form is of an older page; load the page again", 403)
        return await run_in_threadpool(work, form)


def _act(desk: Desk, pages: Pages, request: Request, number: int, form: dict[str, str]) -> Response:
    if not 0 <= number < len(desk.entries):
        return _no_pair(number, desk)
    chosen = pages.chosen(request.query_params)
    around = [entry.number for entry in pages.shown(chosen, desk.reviews())]  # before the pair leaves the filter
    seen = form.get("seen", "")
    written = Written(
        form.get("explanation", ""), form.get("bullet", ""), int(seen) if seen.isdecimal() and len(seen) < 19 else 0
    )
    action = form.get("action", "save")
    try:
        desk.act(number, action, written)
    except RefusedActionError as error:
        is_changed = isinstance(error, ChangedMeanwhileError)
        page = pages.pair(number, chosen, is_whole=False, refused=str(error), written=written, is_changed=is_changed)
        return HTMLResponse(page, 422)
    following = None if action == "save" else pages.after(number, around)
    return _to(number if following is None else following, chosen)


def _no_pair(number: int, desk: Desk) -> Response:
    return PlainTextResponse(f"no pair {number} in this queue of {len(desk.entries)}", 404)


def _to(number: int | None, chosen: dict[str, str]) -> Response:
    """To a pair, or to the queue where there is none."""
    query = f"?{urlencode(chosen)}" if chosen else ""
    return RedirectResponse(f"/{query}" if number is None else f"/pair/{number}{query}", 303)


async def _on_ledger_error(_request: Request, error: Exception) -> Response:
    return PlainTextResponse(f"nothing was stored: {error}", 503)

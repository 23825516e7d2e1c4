"""A Chromium of this machine, driven by Playwright, and the review page of a run."""

import shutil

import pytest

from cluster.review.desk import Desk
from cluster.review.serving import serve_page
from cluster.runs.recorded import LEARNING_SPLITS, read_run
from optimize_workers.ledger import Ledger
from tests.installable import missing
from tests.recorded_runs import make_pairs, write_run

TIMEOUT_MS = 15_000


@pytest.fixture(scope="module")
def chromium():
    """A browser without windows; gone before the next module, as Playwright leaves an event loop running until then."""
    executable = shutil.which("chromium") or shutil.which("google-chrome")
    if executable is None:
        missing("Chromium", "chromium")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=executable)
        yield browser
        browser.close()


@pytest.fixture
def open_page(chromium):
    """Opens fresh pages, each of another visitor, that count what goes wrong in them: `page.problems`."""
    contexts = []

    def start(context=None):
        if context is None:
            context = chromium.new_context(viewport={"width": 1280, "height": 900}, accept_downloads=True)
            context.set_default_timeout(TIMEOUT_MS)
            contexts.append(context)
        opened = context.new_page()
        opened.problems = []
        opened.on("pageerror", lambda error: opened.problems.append(str(error)))
        opened.on("console", lambda said: opened.problems.append(said.text) if said.type == "error" else None)
        opened.on("dialog", lambda dialog: (opened.problems.append(f"dialog: {dialog.type}"), dialog.dismiss()))
        return opened

    yield start
    for context in contexts:
        context.close()


@pytest.fixture
def page(open_page):
    """A page of one visitor."""
    return open_page()


@pytest.fixture
def ledger(tmp_path):
    opened = Ledger(f"sqlite:///{tmp_path / 'ledger.db'}")
    yield opened
    opened.close()


@pytest.fixture
def serve(tmp_path, ledger):
    """Serves the review page of a run over some pairs; returns its URL and desk."""
    stack = []

    def start(pairs=None, author="ada", limit=50):
        run = read_run(write_run(tmp_path / "run", pairs or make_pairs(30)), None, LEARNING_SPLITS)
        desk = Desk(run, ledger, author, limit)
        serving = serve_page(desk, "127.0.0.1", 0)
        served = serving.__enter__()
        stack.append(serving)
        start.served = served
        return served.url, desk

    yield start
    for serving in stack:
        serving.__exit__(None, None, None)

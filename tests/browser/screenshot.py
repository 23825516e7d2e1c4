"""The review page as the documents show it: `python -m tests.browser.screenshot`, on the shipped examples.

No model judges here: every rating is a formula, so that the picture needs nothing and is the same every time.
"""

from __future__ import annotations

import shutil
import tempfile
from dataclasses import replace
from pathlib import Path

from playwright.sync_api import sync_playwright

from cluster.endpoint.config import EXAMPLES
from cluster.review.desk import Desk, Written
from cluster.review.serving import serve_page
from cluster.runs.recorded import read_run
from judge_serve.judging import Example
from optimize_workers.dataset.splits import load_dataset
from optimize_workers.ledger import Ledger
from tests.builders import SCALE
from tests.recorded_runs import judge_pairs, write_run

OUT = Path(__file__).resolve().parents[2] / "docs" / "images" / "review.png"
EXPLANATION = "It speaks of the subject but is about another system, so nobody who asks this is helped."
BULLET = "A page that shares words with the query but is about another thing deserves the lowest rating."


def by_shared_words(_number: int, pair: Example) -> int:
    """A rating by the words that query and document share, as a naive judge gives it."""
    words = set(pair.item.query.lower().split())
    shared = len(words & set(pair.item.document.lower().replace(".", " ").split()))
    return max(1, min(5, 1 + round(4 * shared / len(words))))


def main() -> None:
    """Write the picture."""
    executable = shutil.which("chromium")
    assert executable, "install Chromium first (apt-get install chromium)"
    train = load_dataset(str(EXAMPLES / "workplace.jsonl"), SCALE).by_split["train"]
    judgments = [replace(j, explanation="The words of the query occur.") for j in judge_pairs(train, by_shared_words)]
    with tempfile.TemporaryDirectory() as scratch:
        run = read_run(write_run(Path(scratch) / "baseline-train", train, judgments))
        ledger = Ledger(f"sqlite:///{scratch}/ledger.db")
        desk = Desk(run, ledger, "ada", 50)
        shown = next(e for e in desk.entries if e.compared.gap and e.compared.gap > 1)
        for entry in desk.entries[:3]:
            if entry != shown:
                desk.act(entry.number, "reject", Written("", "", 0))
        desk.act(shown.number, "save", Written(EXPLANATION, BULLET, 0))
        with serve_page(desk, "127.0.0.1", 0) as served, sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path=executable)
            page = browser.new_page(viewport={"width": 1200, "height": 640})
            page.goto(served.url)
            page.goto(f"{served.address}/pair/{shown.number}")
            OUT.parent.mkdir(exist_ok=True)
            page.screenshot(path=OUT)
            browser.close()
        ledger.close()
    print(f"{OUT}: {OUT.stat().st_size} bytes")


if __name__ == "__main__":
    main()

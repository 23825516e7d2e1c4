"""The report as the documents show it: `python -m tests.browser.report_screenshot`, light and dark."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

from playwright.sync_api import sync_playwright

from tests.browser.reports import write_full_report

OUT = Path(__file__).resolve().parents[2] / "docs" / "images"


def main() -> None:
    """Write both pictures."""
    executable = shutil.which("chromium")
    assert executable, "install Chromium first (apt-get install chromium)"
    with tempfile.TemporaryDirectory() as scratch, sync_playwright() as playwright:
        report = write_full_report(Path(scratch) / "run")
        browser = playwright.chromium.launch(executable_path=executable)
        for scheme, section in (("light", None), ("dark", "#gate")):
            page = browser.new_page(viewport={"width": 1080, "height": 1000}, color_scheme=scheme)
            page.goto(report.as_uri() + (section or ""))
            path = OUT / f"report-{scheme}.png"
            page.screenshot(path=path)
            print(f"{path}: {path.stat().st_size} bytes")
        browser.close()


if __name__ == "__main__":
    main()

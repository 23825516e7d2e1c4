"""`review`: the page on which people read a run's disagreements."""

from __future__ import annotations

import os
import sys
import threading
import webbrowser
from collections.abc import Callable
from pathlib import Path

from pydantic import Field

from cluster.commands.printing import print_fields
from cluster.commands.running import Command, Result
from cluster.machine.user import MAX_AUTHOR_CHARS, user_name
from cluster.progress import Progress
from cluster.runs.config import CommandConfig, Split
from judge_serve.judging.errors import RefusedInputError


class ReviewConfig(CommandConfig):
    """Config of `review`."""

    run: Path = Field(description="Folder of a run of evaluate, optimize or demo.")
    arm: str | None = Field(None, description="winner or baseline, where the run has both.")
    split: Split | None = Field(None, description="Only this split; train and val by default.")
    beside: tuple[Path, ...] = Field((), description="Run of another model on the same pairs.")
    limit: int = Field(50, ge=1, description="At most so many disagreements.")
    author: str | None = Field(
        None, min_length=1, max_length=MAX_AUTHOR_CHARS, description="Who acts; this machine's user by default."
    )
    host: str = Field("127.0.0.1", description="Address to listen on.")
    port: int = Field(0, ge=0, le=65_535, description="Port to listen on; 0 takes a free one.")
    export: Path | None = Field(None, description="Write the run's reviews as JSON Lines and stop.")
    no_browser: bool = Field(False, description="Open no browser.")


def run_review(
    config: ReviewConfig,
    progress: Progress,
    stop: threading.Event | None = None,
    open_browser: Callable[[str], None] | None = None,
) -> Result:
    """Serve the page until told to stop, or write the export; returns what was decided."""
    from cluster.endpoint.signals import stop_on_signals
    from cluster.review.desk import Desk
    from cluster.review.door import LOOPBACK_NAMES
    from cluster.review.exporting import write_export
    from cluster.review.serving import serve_page
    from cluster.runs.recorded import LEARNING_SPLITS, read_run
    from cluster.runs.run import open_ledger
    from optimize_workers.library.reviews import Decision

    with open_ledger() as ledger:
        if config.export is not None:
            if not config.run.is_dir():
                raise RefusedInputError(f"{config.run}: there is no such folder; name the run that was reviewed")
            written = write_export(config.export, ledger.review_events(str(config.run.resolve())))
            return {"pairs": written, "path": str(config.export)}
        splits = (config.split,) if config.split else LEARNING_SPLITS
        run = read_run(config.run, config.arm, splits)
        others = [read_run(folder, None, splits) for folder in config.beside]
        if "test" in run.splits:
            opened = ledger.fingerprint_opened_by(str(run.path)) or run.fingerprint
            ledger.record_test_opening(opened, "review", str(run.path))
            progress.note("these are test pairs, which is recorded; what is learned of them must not reach the prompt")
        beside = [judgment for other in others for judgment in (*other.judgments, *other.others)]
        author = config.author or user_name()
        desk = Desk(run, ledger, author, config.limit, beside)
        if config.host not in LOOPBACK_NAMES:
            progress.note(
                f"--host {config.host}: whoever has the address with its token can read these texts and act as "
                f"{author}, and it travels without TLS"
            )
        stop = stop or stop_on_signals()  # before the address is told: whoever reads it may stop at once
        with serve_page(desk, config.host, config.port) as page:
            progress.phase(f"{len(desk.entries)} pairs to review at {page.url} ; Ctrl-C stops")
            if not config.no_browser:
                (open_browser or open_where_seen)(page.url_for_once())
            threading.Thread(target=desk.prepare, name="review-prepare", daemon=True).start()
            stop.wait()
        decisions = [review.decision for review in desk.reviews().values()]
        counts = {str(decision): decisions.count(decision) for decision in Decision if decision is not Decision.OPEN}
        return {"run": str(run.path), "pairs": len(desk.entries), **counts}


def open_where_seen(url: str) -> None:
    """Open a browser if a person sits before a screen here; text browsers would take the terminal."""
    if sys.stderr.isatty() and (sys.platform != "linux" or any(map(os.environ.get, ("DISPLAY", "WAYLAND_DISPLAY")))):
        webbrowser.open(url)


COMMAND = Command(ReviewConfig, run_review, print_fields, positional=("run",))

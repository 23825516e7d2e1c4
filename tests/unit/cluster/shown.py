"""A progress on a fake clock, and what it wrote; judgments of every kind that it counts."""

import io
import re
from dataclasses import replace

from rich.console import Console

from cluster.progress import Progress
from tests.builders import make_judgment

VALID = make_judgment(3)
INVALID = make_judgment(None)
CACHED = replace(VALID, cached=True)


class Shown:
    """A progress on a fake clock, and what it wrote."""

    def __init__(self, is_terminal=False, width=120, environment=None):
        self.now = 1_000.0
        self.file = io.StringIO()
        console = Console(
            file=self.file,
            force_terminal=is_terminal,
            color_system=None,
            width=width,
            _environ=environment or {"TERM": "xterm"},
        )
        self.progress = Progress(console, lambda: self.now)

    def after(self, seconds):
        self.now += seconds
        return self.progress

    @property
    def text(self):
        return self.file.getvalue()

    @property
    def lines(self):
        return self.text.splitlines()

    @property
    def screen(self):
        """What a terminal shows in the end, for the few control codes that we write."""
        rows, row = [""], 0
        for part in re.split(r"(\n|\r|\x1b\[\?25[lh]|\x1b\[2K|\x1b\[1A)", self.text):
            if part == "\n":
                row += 1
                rows.extend([""] * (row + 1 - len(rows)))
            elif part == "\x1b[1A":
                row -= 1
            elif part == "\x1b[2K":
                rows[row] = ""
            elif part != "\r" and not part.startswith("\x1b[?25"):
                rows[row] += part
        return "\n".join(shown.rstrip() for shown in rows).rstrip("\n").split("\n")

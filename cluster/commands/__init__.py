"""The command line `relevance-judge`: one module a command, imported when it is chosen.

A module holds a `COMMAND`: a `running.Command`, or a table of them for nouns such as `ledger`. Its flags are made from
its config (`options`); results go to stdout, logs and progress to stderr (`running`). Nothing imports this room.
"""

from __future__ import annotations

import importlib
import logging
import os
import sys
from typing import Any

import click

from cluster.endpoint.ray_environment import keep_ray_quiet, prepare_ray_environment

# name -> (module, help), in the order in which they are shown
COMMANDS: dict[str, tuple[str, str]] = {
    "demo": ("cluster.commands.demo", "The whole loop on the embedded model and the shipped examples."),
    "evaluate": ("cluster.commands.evaluate", "Measure one judge on one split."),
    "optimize": (
        "cluster.commands.optimize",
        "Search a better prompt, prove it on the test split, register it.",
    ),
    "calibrate": (
        "cluster.commands.calibrate",
        "Fit a calibration on the training split, prove it on the test split, register the calibrated release.",
    ),
    "gate": (
        "cluster.commands.gate",
        "Hold a release against the rules on the test split; status 3 if it may not be deployed.",
    ),
    "check": (
        "cluster.commands.check",
        "Whether a release's model still answers as when it was made; status 3 if not, for cron.",
    ),
    "serve": (
        "cluster.commands.serve",
        "Serve a judge over HTTP until Ctrl-C; the champion where none is named.",
    ),
    "deploy": ("cluster.commands.deploy", "Make a release the champion of the running endpoint."),
    "rollback": ("cluster.commands.rollback", "Deploy the champion before the current one."),
    "status": ("cluster.commands.status", "What runs, and what the registry calls champion."),
    "label": ("cluster.commands.label", "Label pairs with a release; Parquet shards out."),
    "review": (
        "cluster.commands.review",
        "Read where judge and human differ, say why, decide on bullets: a page on this machine, until Ctrl-C.",
    ),
    "report": ("cluster.commands.report", "Write the HTML report of a finished run anew."),
    "bullets": (
        "cluster.commands.bullets",
        "Guidelines that judges are given: the library, distilling explanations, what each of them does today.",
    ),
    "releases": (
        "cluster.commands.releases",
        "Releases of the registry: what they are, what the gate says of them, moving them between machines.",
    ),
    "ledger": ("cluster.commands.ledger", "What is stored: figures, pruning, export, forgetting a document."),
    "doctor": (
        "cluster.commands.doctor",
        "Look at machine, packages, model cache and stores; say what to fix.",
    ),
}


class _CommandTable(click.Group):
    """The table as click asks for it; its help imports no command."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Names in the order of the table."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command of this name, its module imported now."""
        if cmd_name not in COMMANDS:
            return None
        from cluster.commands.options import as_click

        module, help_text = COMMANDS[cmd_name]
        return as_click(cmd_name, importlib.import_module(module).COMMAND, help_text)

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command chosen; Ctrl-C and SIGTERM end it, also while it is imported or its result is shown."""
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt as signal:
            from cluster.commands.running import ended_by

            ended_by(signal)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Names and help of the table."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, help_text) for name, (_, help_text) in COMMANDS.items()])


_PACKAGE = "relevance-judge"
app = _CommandTable(
    name=_PACKAGE,
    help="Keep an LLM relevance judge good, cheap and trusted while models change under it.",
    no_args_is_help=True,
    context_settings={"max_content_width": 120},
)
click.version_option(package_name=_PACKAGE, prog_name=_PACKAGE, message="%(prog)s %(version)s")(app)


def main() -> None:
    """Entry point of the console script."""
    from cluster.endpoint.signals import end_on_signals

    end_on_signals()
    prepare_ray_environment()
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    level = logging.getLevelNamesMapping().get(os.environ.get("RELEVANCE_JUDGE_LOG", "").upper(), logging.WARNING)
    logging.basicConfig(level=level, stream=sys.stderr, format="%(levelname)s %(name)s: %(message)s")
    if level > logging.DEBUG:
        keep_ray_quiet()
    app()

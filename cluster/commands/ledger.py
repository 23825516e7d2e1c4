"""`ledger`: what is stored, and deleting it."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from pathlib import Path

from pydantic import Field, field_validator
from rich.table import Table
from rich.text import Text

from cluster.commands.options import Subcommands
from cluster.commands.printing import print_fields, print_plain
from cluster.commands.running import Command, Result
from cluster.progress import Progress
from cluster.runs.config import CommandConfig
from judge_serve.judging.errors import RefusedInputError

MAX_AGE = timedelta(days=36_500)
_AGE = re.compile(r"([1-9][0-9]{0,8})([mhd])")
_UNITS = {"m": "minutes", "h": "hours", "d": "days"}


class PruneConfig(CommandConfig):
    """Config of `ledger prune`."""

    older_than: str = Field(description="Age such as 30m, 12h or 90d.")
    model: str | None = Field(None, min_length=1, description="Of this model only, by its name in 'ledger stats'.")

    @field_validator("older_than")
    @classmethod
    def _is_an_age(cls, value: str) -> str:
        age_of(value)
        return value


class ExportConfig(CommandConfig):
    """Config of `ledger export`."""

    path: Path = Field(description="Parquet file to write; it must not exist.")


class ForgetConfig(CommandConfig):
    """Config of `ledger forget`."""

    doc_id: str = Field(min_length=1, description="Document whose texts are deleted; figures stay.")


def age_of(text: str) -> timedelta:
    """The time span of 30m (minutes), 12h (hours) or 90d (days).

    Raises: ValueError for anything else, and beyond a hundred years.
    """
    found = _AGE.fullmatch(text)
    age = timedelta(**{_UNITS[found[2]]: int(found[1])}) if found else None
    if age is None or age > MAX_AGE:
        raise ValueError(f"expected an age such as 30m, 12h or 90d, found {text!r}")
    return age


def stats(_config: CommandConfig, _progress: Progress) -> Result:
    """Count what is stored."""
    from cluster.runs.run import open_ledger

    with open_ledger() as ledger:
        return ledger.stats()


def prune(config: PruneConfig, _progress: Progress) -> Result:
    """Delete what is old."""
    from cluster.runs.run import open_ledger

    before = datetime.now(UTC) - age_of(config.older_than)
    with open_ledger() as ledger:
        return {"deleted": ledger.prune(before=before, model=config.model), "before": before.isoformat()}


def export(config: ExportConfig, _progress: Progress) -> Result:
    """Write all judgments to a file."""
    from cluster.runs.run import open_ledger

    path = config.path
    if path.suffix != ".parquet":
        raise RefusedInputError(f"{path}: expected a name that ends in .parquet")
    if path.exists():
        raise RefusedInputError(f"{path} exists; choose another name or remove it")
    try:
        with open_ledger() as ledger:
            return {"judgments": ledger.export(path), "path": str(path)}
    except OSError as error:
        raise RefusedInputError(f"{path} cannot be written ({error.strerror or error}); choose another") from error


def forget(config: ForgetConfig, _progress: Progress) -> Result:
    """Delete a document's texts."""
    from cluster.runs.forgetting import forget_document
    from cluster.runs.run import open_ledger
    from judge_serve.serving.home import home

    with open_ledger() as ledger:
        return forget_document(config.doc_id, ledger, home())


def show_stats(result: Result) -> None:
    """What the ledger holds, by model and mode, and in total."""
    names = ("judgments", "invalid", "forgotten", "prompt_tokens", "completion_tokens")
    table = Table(title=Text(f"{result['store']} ({result['dialect']})"), title_justify="left")
    table.add_column("model")
    table.add_column("mode")
    for name in names:
        table.add_column(name.replace("_", " "), justify="right")
    for group in result["by_model"]:
        table.add_row(Text(group["model"]), group["mode"], *(f"{group[name]:,}" for name in names))
    table.add_section()
    table.add_row("all", "", *(f"{result[name]:,}" for name in names))
    print_plain(table)
    tokens = result["reflection_prompt_tokens"], result["reflection_completion_tokens"]
    print_plain(f"reflections    {result['reflections']:,} ({tokens[0]:,} prompt and {tokens[1]:,} completion tokens)")
    print_plain(f"runs           {result['runs']:,}")
    print_plain(f"reviews        {result['review_events']:,} actions")
    print_plain(f"test openings  {result['test_openings']:,}")
    if result["judgments"]:
        print_plain(f"stored         {result['first_stored_at']} to {result['last_stored_at']}")
    print_plain(f"size           {result['size_bytes'] / 1e6:,.1f} MB")


def show_forgotten(result: Result) -> None:
    """What was forgotten, and the files that a person has to look at."""
    print_plain(f"judgments    {result['judgments']} emptied")
    print_plain(f"reflections  {result['reflections']} deleted")
    print_plain(f"reviews      {result['review_events']} actions emptied")
    for path in result["files_rewritten"]:
        print_plain(f"rewritten    {path}")
    for path in result["still_hold"]:
        print_plain(f"still holds  {path}; look at it and delete it")


COMMAND: Subcommands = {
    "stats": (
        Command(CommandConfig, stats, show_stats),
        "What the ledger holds: judgments, tokens, reflections, runs, size.",
    ),
    "prune": (
        Command(PruneConfig, prune, print_fields),
        "Delete judgments and reflections of a certain age; what is asked again is judged again.",
    ),
    "export": (
        Command(ExportConfig, export, print_fields, positional=("path",)),
        "Write all judgments to a Parquet file.",
    ),
    "forget": (
        Command(ForgetConfig, forget, show_forgotten),
        "Delete a document's texts from the ledger and the folders of its runs.",
    ),
}

"""`releases`: what is registered, what differs, moving releases between machines."""

from __future__ import annotations

from typing import Any

from rich.table import Table
from rich.text import Text

from cluster.commands.options import Subcommands
from cluster.commands.printing import print_fields, print_plain, printable
from cluster.commands.running import Command, Result
from cluster.commands.tables import rules_table
from cluster.progress import Progress
from cluster.registry.config import DiffReleasesConfig, ExportReleaseConfig, ImportReleaseConfig, ShowReleaseConfig
from cluster.runs.config import CommandConfig

_STYLES = {"same": "", "removed": "strike red", "added": "bold green"}
_BRACKETS = {"same": ("", ""), "removed": ("[-", "-]"), "added": ("{+", "+}")}  # also where there are no colours


def list_releases(_config: CommandConfig, _progress: Progress) -> Result:
    """Read the registry."""
    from cluster.registry.listing import run_list_releases

    return run_list_releases()


def show(config: ShowReleaseConfig, _progress: Progress) -> Result:
    """Read one release."""
    from cluster.registry.listing import run_show_release

    return run_show_release(config)


def diff(config: DiffReleasesConfig, _progress: Progress) -> Result:
    """Compare two releases."""
    from cluster.registry.listing import run_diff_releases

    return run_diff_releases(config)


def export(config: ExportReleaseConfig, _progress: Progress) -> Result:
    """Write a release to a file."""
    from cluster.registry.moving import run_export_release

    return run_export_release(config)


def import_release(config: ImportReleaseConfig, _progress: Progress) -> Result:
    """Register the release of a file."""
    from cluster.registry.moving import run_import_release

    return run_import_release(config)


def show_list(result: Result) -> None:
    """One line per release."""
    for one in result["unreadable"]:
        where = f"{one['name']} version {one['version']}" + "".join(f", {alias}" for alias in one["aliases"])
        print_plain(printable(f"{one['id']} ({where}) cannot be read: {one['reason']}"))
    if not result["releases"]:
        print_plain("no releases" if not result["unreadable"] else "no releases that can be read")
        return
    table = Table("id", "name", "aliases", "model", "mode", "gate")
    table.add_column("NMSE", justify="right")
    for one in result["releases"]:
        nmse = one["nmse"]
        cells = (one["id"], one["name"], ", ".join(one["aliases"]), one["model"], one["mode"], _gate_of(one))
        table.add_row(*(Text(printable(cell)) for cell in cells), "-" if nmse is None else f"{nmse:.1f}")
    print_plain(table)


def show_release(result: Result) -> None:
    """One release, or its card."""
    if result["show_card"]:
        print_plain(printable(result["card"]).rstrip("\n"))
        return
    judge = result["document"]["judge"]
    print_plain(f"release    {result['id']} of {result['name']}  {', '.join(result['aliases'])}")
    print_plain(
        printable(f"model      {result['model']}, revision {judge['model']['revision']}, mode {result['mode']}")
    )
    print_plain(f"ancestors  {', '.join(result['ancestors']) or 'none in the registry'}")
    record = result["gate_record"]
    if record:
        against = f"{record['against_role']} {record['against']}" if record["against"] else "no other judge"
        print_plain(printable(f"gate       {_gate_of(result)}, against {against}, {record['n']} pairs"))
        if record["rules"]:
            print_plain(rules_table(record))
    else:
        print_plain(f"gate       {_gate_of(result)}")
    for caveat in result["caveats"]:
        print_plain(f"caveat     {caveat}")
    for earlier in result["gate_history"]:
        print_plain(f"earlier    {earlier['date'][:10]} {'passed' if earlier['passed'] else 'refused'}")
    for one in result["overrides"]:
        print_plain(printable(f"override   {one['date'][:10]} {one['command']}: {one['reason']}"))
    program = judge["program"]
    for name, text in program["sections"]:
        print_plain(printable(f"\n[{name}]\n{text}"))
    for bullet in program["bullets"]:
        print_plain(printable(f"- {bullet}"))
    print_plain(f"{len(program['demonstrations'])} demonstrations")


def show_difference(result: Result) -> None:
    """Fields, then prompts, word by word."""
    if result["same"]:
        print_plain(f"{result['first']} and {result['second']} are the same release")
        return
    for field in result["fields"]:
        print_plain(printable(f"{field['field']}: {field['first']} -> {field['second']}"))
    for section in result["sections"]:
        text = Text(f"\n[{section['name']}]\n")
        for change in section["changes"]:
            before, after = _BRACKETS[change["what"]]
            text.append(before + printable(change["text"]).rstrip() + after + " ", style=_STYLES[change["what"]])
        print_plain(text)
    for what in ("bullets", "demonstrations"):
        for kind, mark in (("removed", "-"), ("added", "+")):
            for line in result[what][kind]:
                print_plain(printable(f"{what[:-1]} {mark} {line}"))
        if result[what]["reordered"]:
            print_plain(f"{what} have another order")


def _gate_of(one: dict[str, Any]) -> str:
    if one["gate_passed"] is None:
        return "not seen"
    said = "passed" if one["gate_passed"] else "refused"
    date = f" {one['gate_date'][:10]}" if one["gate_date"] else ""
    return said + date + (f", imported from {one['imported_from']}" if one["imported_from"] else "")


COMMAND: Subcommands = {
    "list": (Command(CommandConfig, list_releases, show_list), "All releases, newest first."),
    "show": (
        Command(ShowReleaseConfig, show, show_release, positional=("release",)),
        "One release: its judge, evidence, gate results and overrides.",
    ),
    "diff": (
        Command(DiffReleasesConfig, diff, show_difference, positional=("first", "second")),
        "What differs between two releases, prompts word by word.",
    ),
    "export": (
        Command(ExportReleaseConfig, export, print_fields, positional=("release",)),
        "Write a release with its gate result to a file, for `releases import` elsewhere.",
    ),
    "import": (
        Command(ImportReleaseConfig, import_release, print_fields, positional=("path",)),
        "Register the release of a file, its gate result marked as imported.",
    ),
}

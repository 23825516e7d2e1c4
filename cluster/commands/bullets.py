"""`bullets`: what becomes of the guidelines that judges are given."""

from __future__ import annotations

from rich.table import Table
from rich.text import Text

from cluster.commands.options import Subcommands
from cluster.commands.printing import print_fields, print_plain
from cluster.commands.running import Command, Result
from cluster.library.config import (
    DistillConfig,
    ExportBulletsConfig,
    ImportBulletsConfig,
    LibraryConfig,
    RemoveBulletsConfig,
)
from cluster.measuring.config import AblateConfig
from cluster.progress import Progress


def ablate(config: AblateConfig, progress: Progress) -> Result:
    """Judge with and without each bullet."""
    from cluster.measuring.ablation import run_ablate

    return run_ablate(config, progress)


def plan_ablation(config: AblateConfig) -> Result:
    """What `ablate` would judge."""
    from cluster.measuring.ablation import plan_ablate

    return plan_ablate(config)


def list_bullets(config: LibraryConfig, _progress: Progress) -> Result:
    """Read the library."""
    from cluster.library.bullets import run_list

    return run_list(config)


def export(config: ExportBulletsConfig, _progress: Progress) -> Result:
    """Write the library to a file."""
    from cluster.library.bullets import run_export

    return run_export(config)


def import_bullets(config: ImportBulletsConfig, _progress: Progress) -> Result:
    """Read a file into the library."""
    from cluster.library.bullets import run_import

    return run_import(config)


def remove(config: RemoveBulletsConfig, _progress: Progress) -> Result:
    """Take bullets out."""
    from cluster.library.bullets import run_remove

    return run_remove(config)


def distill(config: DistillConfig, progress: Progress) -> Result:
    """Propose bullets."""
    from cluster.library.distill import run_distill

    return run_distill(config, progress)


def show_effects(result: Result) -> None:
    """What each bullet of a release does to its NMSE."""
    dataset = result["dataset"]
    title = f"release {result['release']}, {dataset['n']} {dataset['split']} pairs, NMSE {result['nmse']:.1f}"
    table = Table(title=title, title_justify="left")
    table.add_column("bullet")
    table.add_column("adds to NMSE", justify="right")
    table.add_column("95 % interval", justify="right")
    table.add_column("verdict")
    for bullet in result["bullets"]:
        low, high = bullet["ci95"]
        table.add_row(
            Text(bullet["text"]), f"{bullet['delta_nmse']:+.2f}", f"{low:+.2f} to {high:+.2f}", bullet["verdict"]
        )
    print_plain(table)


def show_bullets(result: Result) -> None:
    """One line per bullet, and how many are left out."""
    table = Table("id", "bullet", "author", "date")
    table.add_column("sources", justify="right")
    for bullet in result["bullets"]:
        row = (bullet["text"], bullet["author"], bullet["created_at"][:10])
        table.add_row(bullet["id"], *map(Text, row), str(len(bullet["sources"])))
    print_plain(table if result["bullets"] else "no bullets")
    if result["held_out"]:
        print_plain(f"left out: {result['held_out']} learned from val or test pairs only; --all-splits shows them")


def show_distilled(result: Result) -> None:
    """The bullets, the lines that were refused, and what to do next."""
    show_bullets({"bullets": result["bullets"], "held_out": 0})
    for line in result["refused"]:
        print_plain(f"refused    {line['reason']}: {line['text']}")
    if result["writer"] is None:
        print_plain("no model wrote anything: reviewers' own lines stand at their pairs as they are")
    print_plain(f"{result['explanations']} explanations; new lines proposed at {result['proposed']} pairs, for review")


def show_removed(result: Result) -> None:
    """The bullets that left the library."""
    for bullet in result["removed"]:
        print_plain(f"removed  {bullet['id']}  {bullet['text']}")
    print_plain("accept or import them again to have them back; releases that hold them are as they were")


COMMAND: Subcommands = {
    "ablate": (
        Command(AblateConfig, ablate, show_effects, positional=("data",), plan=plan_ablation),
        "Effect of each bullet of a release, held against the release without it.",
    ),
    "list": (Command(LibraryConfig, list_bullets, show_bullets), "The bullets that people accepted or imported."),
    "export": (
        Command(ExportBulletsConfig, export, print_fields, positional=("path",)),
        "Write the bullets to a file, those that say the same once.",
    ),
    "import": (
        Command(ImportBulletsConfig, import_bullets, print_fields, positional=("path",)),
        "Take the bullets of a file into the library.",
    ),
    "remove": (
        Command(RemoveBulletsConfig, remove, show_removed, positional=("ids",)),
        "Take bullets out of the library; accepting or importing them again brings them back.",
    ),
    "distill": (
        Command(DistillConfig, distill, show_distilled, positional=("run",)),
        "Propose bullets made of a run's explanations; people accept them on the review page.",
    ),
}

"""`report.html` of a run, self-contained, and `figures.json`, the same figures for programs.

One way for all: what the run recorded is read back, made into sections of plain data, and shown by templates. Nothing
in the page is a script, is fetched or is styled from elsewhere, which its Content-Security-Policy says too.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable, Mapping
from importlib.resources import files
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader
from markupsafe import Markup

from cluster.report.blocks import Chart, Section, Table
from cluster.report.disagreements import disagreements
from cluster.report.drawing import draw
from cluster.report.headline import headline, invalid_replies, not_judged, subtitle, tiles
from cluster.report.prompt_diff import prompts
from cluster.report.proof import adversarial, comparison, gate
from cluster.report.provenance import provenance
from cluster.report.ratings import bias, confusion, distribution
from cluster.report.record import Record, read_record
from cluster.report.reliability import calibration, ranking, repeats
from cluster.report.search import candidates, waterfall
from cluster.report.spending import spending
from cluster.runs.folder import RunFolder

REPORT, FIGURES = "report.html", "figures.json"
_SECTIONS: tuple[Callable[[Record], Section | None], ...] = (
    headline,
    comparison,
    gate,
    adversarial,
    waterfall,
    candidates,
    calibration,
    invalid_replies,
    not_judged,
    confusion,
    distribution,
    bias,
    repeats,
    ranking,
    spending,
    disagreements,
    prompts,
    provenance,
)
_WITH_TEXTS = ("provenance", "disagreements", "prompt", "not_judged")  # an endpoint's error may quote a document


def write_report(folder: RunFolder, result: Mapping[str, Any] | None = None, out: Path | None = None) -> Path:
    """Write the report of a run from what its folder holds; returns where it is.

    Args:
        folder: with its judgments, examples and release written.
        result: what will be its `result.json`, where that is not written yet.
        out: a file elsewhere; the folder is left as it is then, and gets no `figures.json`.

    Raises: RefusedInputError if the folder holds no run that judged labelled data.
    """
    record = read_record(folder.path, result)
    sections = sections_of(record)
    page = render(record, sections)
    if out is not None:
        return RunFolder(out.parent).write_text(out.name, page)
    folder.write_json(FIGURES, figures_of(sections))
    return folder.write_text(REPORT, page)


def sections_of(record: Record) -> list[Section]:
    """The sections that a run has something to show in."""
    made = [make(record) for make in _SECTIONS]
    return [section for section in made if section is not None]


def figures_of(sections: list[Section]) -> dict[str, Any]:
    """Tables and charts as JSON; texts of documents and prompts are not among them."""
    shown = [section for section in sections if section.name not in _WITH_TEXTS]
    return {
        "tables": [_table(section.title, table) for section in shown for table in section.tables],
        "charts": [
            {
                "name": chart.name,
                "caption": chart.caption,
                "vega_lite": chart.spec,
                **_table(section.title, chart.table),
            }
            for section in shown
            for chart in section.charts
        ],
    }


def render(record: Record, sections: list[Section]) -> str:
    """The page; all texts are escaped by the templates."""
    style = files("cluster.report").joinpath("templates/report.css").read_text(encoding="utf-8")
    style_hash = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    environment = Environment(
        loader=PackageLoader("cluster.report"), autoescape=True, trim_blocks=True, lstrip_blocks=True
    )
    environment.globals["draw"] = _drawn
    return environment.get_template("report.html").render(
        title=title_of(record),
        subtitle=subtitle(record),
        tiles=tiles(record),
        sections=sections,
        style=Markup(style),
        style_hash=style_hash,
    )


def title_of(record: Record) -> str:
    """What the run was."""
    optimizer, model = record.result.get("optimizer"), record.release.judge.model.name
    if optimizer:
        return f"Optimization with {optimizer}, {model}"
    if record.part("against"):
        return f"Gate of release {record.release.id}, {model}"
    return f"{'Calibration' if record.part('calibration') else 'Evaluation'}, {model}"


def _drawn(chart: Chart) -> Markup:
    return Markup(draw(chart.spec, chart.caption))  # `draw` leaves nothing but what draws


def _table(title: str, table: Table) -> dict[str, Any]:
    return {
        "section": title,
        "caption": table.caption,
        "columns": [column.name for column in table.columns],
        "rows": [list(row) for row in table.rows],
    }

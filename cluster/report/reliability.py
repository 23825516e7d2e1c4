"""What else was measured: calibration with its reliability, repeats, the consequence for rankings."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from cluster.report import charts
from cluster.report.blocks import Chart, Section, Table, facts_table, finite, numbers, shown, tables_of, words
from cluster.report.record import Record, records_of


def calibration(record: Record) -> Section | None:
    """The mean human rating over the predicted one, before and after calibration."""
    recorded = record.part("calibration")
    if not recorded:
        return None
    rows = [
        {
            "predicted": finite(one.get("predicted")),
            "human": finite(one.get("human")),
            "n": finite(one.get("n")),
            "series": name,
            "says": f"{name}: predicted {shown(one.get('predicted'), 2)}, human {shown(one.get('human'), 2)}",
        }
        for name in ("before", "after")
        for one in records_of(_part(recorded, name).get("reliability"))
    ]
    known = [row for row in rows if None not in (row["predicted"], row["human"], row["n"])]
    folds = {f"NMSE in cross-validation, {name}": value for name, value in _part(recorded, "cv_nmse").items()}
    facts = {
        **{key: value for key, value in recorded.items() if key not in ("before", "after", "cv_nmse")},
        **folds,
        **{
            f"{name}, {key}".replace("_", " "): value
            for name in ("before", "after")
            for key, value in _part(recorded, name).items()
            if key != "reliability"
        },
    }
    return Section(
        "calibration",
        "Calibration",
        blocks=(
            *((facts_table(facts, "Fitted on the training split, folds by query"),) if facts else ()),
            *((_picture(known, record),) if known else ()),
        ),
    )


def repeats(record: Record) -> Section | None:
    """What judging several times shows."""
    return _plain(record, "repeats", "Repeats")


def ranking(record: Record) -> Section | None:
    """What the judge's labels do to the order of ranked lists."""
    return _plain(record, "ranking", "Rankings")


def _plain(record: Record, key: str, title: str) -> Section | None:
    tables = tables_of(record.result.get(key))
    return Section(key, title, blocks=tables) if tables else None


def _picture(rows: list[dict[str, Any]], record: Record) -> Chart:
    names = list(dict.fromkeys(row["series"] for row in rows))
    cells = tuple(
        (row["series"], shown(row["predicted"], 2), shown(row["human"], 2), shown(row["n"], 0)) for row in rows
    )
    return Chart(
        "reliability",
        "Mean human rating over the mean rating predicted; on the dashed line a judge says what people say. "
        "Larger marks hold more pairs.",
        charts.reliability(rows, names, float(record.scale.minimum), float(record.scale.maximum)),
        Table((*words(""), *numbers("predicted", "human", "pairs")), cells),
    )


def _part(content: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    found = content.get(key)
    return found if isinstance(found, Mapping) else {}

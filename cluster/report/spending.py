"""What a run cost: calls, tokens, seconds, and dollars where prices are known."""

from __future__ import annotations

from statistics import quantiles

from pydantic import ValidationError

from cluster.report.blocks import NOTHING, Section, Table, numbers, shown, words
from cluster.report.record import Arm, Record
from judge_serve.catalogue.entries import Prices, prices_of

_SEARCH = {
    "budget": "budget, judge calls",
    "calls": "judge calls spent",
    "cached": "answered by the ledger",
    "calls_saved": "calls that racing did without",
    "reflections": "reflections",
    "reflections_cached": "reflections answered by the ledger",
}


def spending(record: Record) -> Section:
    """The cost of measuring each judge, and of the search."""
    names = ("judge calls", "answered by the ledger", "prompt tokens", "completion tokens", "seconds")
    columns = (
        *words("judge"),
        *numbers(*names, "seconds a call, median and 95 %", "US dollars", "US dollars per 1,000"),
    )
    tables = [Table(columns, tuple(_cells(arm, record) for arm in record.arms), "Measuring")]
    search = {name: record.result[key] for key, name in _SEARCH.items() if key in record.result}
    if "optimizer" in record.result and search:
        rows = tuple((name, shown(value, 0)) for name, value in search.items())
        tables.append(Table((*words("search"), *numbers("number")), rows, "Searching"))
    said = (
        "Tokens and dollars are those of all calls, as if none had been answered by the ledger; dollars are list "
        "prices or those given by --price, and a dash where none is known.",
    )
    return Section("cost", "Cost", paragraphs=said, blocks=tuple(tables))


def _cells(arm: Arm, record: Record) -> tuple[str, ...]:
    figures = arm.figures
    keys = ("calls", "cached", "prompt_tokens", "completion_tokens")
    prices = _prices(arm, record)
    usd = (
        prices.usd(int(figures.get("prompt_tokens") or 0), int(figures.get("completion_tokens") or 0))
        if prices
        else None
    )
    per_thousand = None if usd is None else 1_000 * usd / max(len(arm.judgments), 1)
    return (
        arm.title,
        *(shown(figures.get(key), 0) for key in keys),
        shown(figures.get("wall_s"), 1),
        _latency(arm),
        shown(usd, 4),
        shown(per_thousand, 4),
    )


def _prices(arm: Arm, record: Record) -> Prices | None:
    model = arm.judgments[0].model
    given = (record.config.get("price") or {}).get(model)
    try:
        return Prices.model_validate(given) if given else prices_of(model)
    except ValidationError:
        return None


def _latency(arm: Arm) -> str:
    sent = [judgment.latency_s for judgment in arm.judgments if not judgment.cached]
    if len(sent) < 2:
        return NOTHING
    cuts = quantiles(sent, n=20, method="inclusive")
    return f"{shown(cuts[9], 2)}, {shown(cuts[18], 2)}"

"""The model card of a release in Markdown: what it was tuned on, figures, gate, perturbed pairs, limits, lineage.

No text of queries or documents is in it: it is made to be passed on.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Any

from cluster.registry.gate_record import GateRecord
from cluster.registry.store import Registered
from judge_serve.catalogue.entries import CATALOGUE
from judge_serve.judging.release import SHORT_ID_CHARS, Release
from optimize_workers.dataset.splits import SPLITS
from optimize_workers.evidence.gate.rule import RuleStatus

_FIGURE_NAMES = {
    "n": "held-out pairs",
    "nmse": "NMSE (0 perfect, 100 worst; unreadable counts 100)",
    "validity": "validity",
    "nmse_valid": "NMSE of readable replies",
    "nmse_constant": "NMSE of the constant answer",
    "skill": "skill over the constant answer",
    "bias": "bias, rating units",
    "qwk": "quadratic weighted kappa",
}
_ANSWERS = {RuleStatus.PASSED: "passed", RuleStatus.FAILED: "**failed**", RuleStatus.NOT_CHECKED: "not checked"}
_TEXTUAL_RULES = frozenset({"guardrails"})  # whose details quote what was found


def model_card(entry: Registered, ancestors: Sequence[Release] = ()) -> str:
    """The card, by what the release itself and the registry say."""
    release = entry.release
    parts = [
        [f"# Model card: {_cell(release.name)} {release.id}", *_what(release)],
        ["## Tuned on", *_tuned_on(release)],
        ["## Figures", *_figures(entry)],
        ["## Gate", *_gate(entry)],
        ["## Perturbed pairs", *_perturbed(entry.gate)],
        ["## Limits", *_limits(entry)],
        ["## Lineage", *_lineage(release, ancestors)],
    ]
    return "\n\n".join("\n".join(part) for part in parts) + "\n"


def _what(release: Release) -> Iterator[str]:
    judge = release.judge
    entry = CATALOGUE.get(judge.model.name)
    program = judge.program
    yield ""
    yield f"Rates how relevant a document is to a query, from {judge.task.scale.minimum} to {judge.task.scale.maximum}."
    yield ""
    yield f"- model: {_cell(judge.model.name)}, revision {_cell(judge.model.revision)}"
    if judge.model.reported:
        yield f"- its endpoint reports it as {_cell(judge.model.reported)}"
    if release.canaries:
        yield f"- canaries: {release.canaries.num_answered} answered when it was made; 'check {release.id}' asks again"
    yield f"- licence of the model: {_cell(entry.license) if entry else 'not known to the catalogue'}"
    yield f"- answer mode: {judge.mode}, temperature {judge.sampling.temperature:g}"
    calibration = "yes" if release.calibration is not None else "no"
    yield f"- calibrated: {calibration}"
    yield (
        f"- prompt: {len(program.sections)} sections with {len(program.instruction.split())} words, "
        f"{len(program.bullets)} bullets, {len(program.demonstrations)} demonstrations"
    )
    yield f"- digest: `{release.digest}`"


def _tuned_on(release: Release) -> Iterator[str]:
    evidence = release.evidence
    data = _table_of(evidence.get("dataset"))
    yield ""
    if not evidence:
        yield "Nothing: no search made this judge, a person wrote it."
        return
    if optimizer := evidence.get("optimizer"):
        calls, seed = evidence.get("judge_calls"), evidence.get("seed")
        yield f"- search: {_cell(optimizer)}, {_cell(calls)} judge calls, seed {_cell(seed)}"
    yield f"- data fingerprint: `{_cell(data.get('fingerprint', 'not recorded'))}`"
    sizes = _table_of(data.get("sizes"))
    if sizes:
        yield "- pairs: " + ", ".join(f"{split} {_cell(sizes[split])}" for split in SPLITS if split in sizes)
    if optimizer:
        yield "- searched on train and val; the test split was sealed until the winner was decided"
    if release.calibration is not None:
        fitted = release.calibration.fitted_on
        yield f"- calibrated on {fitted.n:,} pairs of {fitted.queries:,} queries of train"
    yield f"- proven on {_cell(data.get('n', 'an unknown number of'))} pairs of {_cell(data.get('split', 'test'))}"


def _figures(entry: Registered) -> Iterator[str]:
    evidence = entry.release.evidence
    columns = [(name, _table_of(evidence.get(name))) for name in ("baseline", "winner")]
    if entry.gate and entry.gate.figures:
        columns.append(("last gate", {**entry.gate.figures, "n": entry.gate.n}))
    columns = [(name, figures) for name, figures in columns if figures]
    yield ""
    if not columns:
        yield "None: this release was not measured."
        return
    yield "| | " + " | ".join(name for name, _ in columns) + " |"
    yield "|---" * (len(columns) + 1) + "|"
    for key, name in _FIGURE_NAMES.items():
        if any(figures.get(key) is not None for _, figures in columns):
            yield f"| {name} | " + " | ".join(_figure(figures, key) for _, figures in columns) + " |"
    comparison = _table_of(evidence.get("comparison"))
    interval = comparison.get("ci95")
    if isinstance(interval, list) and len(interval) == 2:
        yield ""
        yield (
            f"NMSE of winner minus baseline: {_number(comparison.get('delta_nmse'))} "
            f"(95 % interval {_number(interval[0])} to {_number(interval[1])})."
        )


def _gate(entry: Registered) -> Iterator[str]:
    gate = entry.gate
    yield ""
    if gate is None:
        yield "No gate has seen this release."
        return
    held = f"against {_cell(gate.against_role)} {_cell(gate.against)}" if gate.against else "against no other judge"
    came = f", imported from {_cell(gate.imported_from)}" if gate.imported_from else ""
    yield f"{'Passed' if gate.passed else '**Refused**'} on {_cell(gate.date)}, {held}{came}."
    yield f"{_cell(gate.n)} pairs of {_cell(gate.queries)} queries, data `{_cell(gate.fingerprint)}`."
    if gate.rules:
        yield ""
        yield "| rule | limit | found | | |"
        yield "|---|---|---|---|---|"
    for rule in gate.rules:
        reason = rule.reason or ""
        if rule.name in _TEXTUAL_RULES:
            reason = reason.partition(" (")[0]
        numbers = f"{_number(rule.limit)} | {_number(rule.found)}"
        yield f"| {_cell(rule.name.replace('_', ' '))} | {numbers} | {_ANSWERS[rule.status]} | {_cell(reason)} |"
    for override in entry.overrides:
        yield ""
        yield f"Overridden on {_cell(override.date)} by `{_cell(override.command)}`: {_cell(override.reason)}"


def _perturbed(gate: GateRecord | None) -> Iterator[str]:
    yield ""
    if gate is None or not gate.adversarial:
        yield "Not run."
        return
    yield "| kind | rating should | pairs | unreadable | mean shift | 95 % interval | moved by 1 |"
    yield "|---|---|---|---|---|---|---|"
    for shift in gate.adversarial:
        interval = f"{_number(shift.ci95[0])} to {_number(shift.ci95[1])}" if shift.ci95 else "-"
        cells = [_cell(shift.kind), _cell(shift.expected.replace("_", " ")), str(shift.n), str(shift.invalid)]
        cells += [_number(shift.mean_shift), interval, _number(shift.moved_share)]
        yield f"| {' | '.join(cells)} |"


def _limits(entry: Registered) -> Iterator[str]:
    gate = entry.gate
    yield ""
    yield "- The figures hold for data like those they were taken on, and for these weights and this answer mode only."
    yield "- Human ratings are taken as true; where people disagree, no judge can be better than they are."
    yield "- The perturbed pairs are simple ones. That they do little says nothing about somebody who tries harder."
    if gate is None:
        yield "- It has not been held against the rules of the gate."
        return
    unchecked = [rule.name.replace("_", " ") for rule in gate.rules if rule.status is RuleStatus.NOT_CHECKED]
    if unchecked:
        yield f"- Not checked: {_cell(', '.join(unchecked))}."
    if gate.changed_limits:
        changed = ", ".join(f"{name} {limit:g}" for name, limit in gate.changed_limits.items())
        yield f"- Limits of the gate were changed: {_cell(changed)}."
    if gate.test_openings is not None and gate.test_openings > 1:
        yield f"- The test split of these data had been opened {gate.test_openings:,} times: the more, the more luck."
    if not gate.passed:
        yield "- The gate refused it."


def _lineage(release: Release, ancestors: Sequence[Release]) -> Iterator[str]:
    yield ""
    if not release.parents:
        yield "It has no parent."
        return
    known = {ancestor.digest: ancestor for ancestor in ancestors}
    line = [*release.parents, *(parent for ancestor in ancestors for parent in ancestor.parents)]
    for digest in dict.fromkeys(line):
        made = known.get(digest)
        what = f"{made.judge.model.name}, {made.judge.mode}" if made else "not in the registry"
        yield f"- {_cell(digest[:SHORT_ID_CHARS])}: {_cell(what)}"


def _figure(figures: dict[str, Any], key: str) -> str:
    shown = _number(figures.get(key))
    interval = figures.get(f"{key}_ci95")
    if isinstance(interval, list | tuple) and len(interval) == 2:
        shown += f" ({_number(interval[0])} to {_number(interval[1])})"
    return shown


def _number(value: Any) -> str:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return "-"
    return f"{value:,}" if isinstance(value, int) else f"{value:.2f}"


def _table_of(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _cell(value: Any) -> str:
    """Text that stays in its cell and is nothing but text, also where it comes from another machine."""
    text = re.sub(r"[^\S ]|[^\w\s!-~]", lambda found: found[0] if found[0].isprintable() else " ", str(value))
    return re.sub(r"([\\`*_\[\]<>|#])", r"\\\1", text) if not _is_plain(text) else text


def _is_plain(text: str) -> bool:
    return re.fullmatch(r"[\w .,:;%+()/'\"=@~-]*", text) is not None and "__" not in text

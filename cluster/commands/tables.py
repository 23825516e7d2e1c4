"""Results as tables for people, on stdout."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable
from typing import Any

from rich.console import Console, ConsoleOptions, RenderableType
from rich.segment import Segment
from rich.table import Table
from rich.text import Text

from cluster.commands.evidence_tables import human_line, luck_line, ranking_tables
from optimize_workers.evidence.gate.config import GateConfig


class _PlainConsole(Console):
    """A console that nothing that is printed can steer: names, ids and prompts come from elsewhere."""

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterable[Segment]:
        for text, style, control in super().render(renderable, options):
            yield Segment(text if control else printable(text), style, control)


def printable(text: str) -> str:
    """The text without characters that steer a terminal or turn its direction."""
    return "".join(char if char.isprintable() or _is_space(char) else "\ufffd" for char in text)


def _is_space(char: str) -> bool:
    return char == "\n" or unicodedata.category(char) == "Zs"  # such as the one that does not break


def demo_table(result: dict[str, Any]) -> None:
    """The before/after table, the release, the endpoint's answer and the labels."""
    arms = [
        ("baseline", result["baseline"]),
        (f"winner ({result['optimizer']})", result["winner"]),
        ("baseline, expected", result["expected_baseline"]),
        ("winner, expected", result["expected"]),
        ("winner, calibrated", result["calibrated"]),
    ]
    _print(_figures_table(f"{result['winner']['dataset']['n']} held-out pairs", arms))
    _calibration_lines(result["calibration"])
    _ratings_line("winner", result["winner"])
    _gate_line(result["deployed_gate"])
    answer = result["endpoint_answer"]
    rated = answer["rating"] if answer["rating"] is not None else f"invalid: {answer['invalid_reason']}"
    _print(f"release    {result['release']} (mode {result['deployed_mode']})")
    _print(f"endpoint   '{answer['query']}' -> {rated} in {answer['latency_ms']:.0f} ms")
    _print(f"labels     {result['labels']}")
    _print(f"wall time  {result['wall_s']:.0f} s")


def optimize_table(result: dict[str, Any]) -> None:
    """The before/after table and the gate's answer."""
    arms = [("baseline", result["baseline"]), (f"winner ({result['optimizer']})", result["winner"])]
    _print(_figures_table(f"{result['winner']['dataset']['n']} held-out pairs", arms))
    compared = result["comparison"]
    low, high = compared["ci95"]
    _print(f"NMSE difference {compared['delta_nmse']:+.1f} (95 % interval {low:+.1f} to {high:+.1f})")
    if result.get("luck"):
        _print(luck_line(result["luck"]))
    if "human" in result:
        _print(human_line(result["human"]))
    if "waterfall" in result:
        _print(_steps_table(result))
        for bullet in result["harmful"]:
            _print(f"hurts      {bullet['text']}")
    if "calibration" in result:
        _calibration_lines(result["calibration"])
    _ratings_line("winner", result["winner"])
    _print(f"release {result['release']}, {result['calls']} of {result['budget']} judge calls")
    _gate_line(result["gate"])


def calibrate_table(result: dict[str, Any]) -> None:
    """The figures before and after, how the calibration was chosen, and the gate's answer."""
    arms = [("uncalibrated", result["baseline"]), ("calibrated", result["winner"])]
    _print(_figures_table(f"{result['winner']['dataset']['n']} held-out pairs", arms))
    compared = result["comparison"]
    low, high = compared["ci95"]
    _print(f"NMSE difference {compared['delta_nmse']:+.1f} (95 % interval {low:+.1f} to {high:+.1f})")
    _calibration_lines(result["calibration"])
    _ratings_line("calibrated", result["winner"])
    _print(f"release {result['release']}, {result['calls']} judge calls, {result['cached']} answered by the ledger")
    _gate_line(result["gate"])


def gate_table(result: dict[str, Any]) -> None:
    """The figures of the release and of what it was held against, and every rule."""
    held = result["against"]["release"]
    arms = [(f"{result['against']['role']} {held}", result["baseline"])] if held else []
    arms.append((f"release {result['release']}", result["winner"]))
    _print(_figures_table(f"{result['winner']['dataset']['n']} held-out pairs", arms))
    if not held:
        _print(f"no other judge: {result['against']['role']}")
    _ratings_line("release", result["winner"])
    if result["adversarial"]:
        _print(_shifts_table(result["adversarial"]))
    _gate_line(result["gate"])


def evaluate_table(result: dict[str, Any]) -> None:
    """The figures of one judge."""
    dataset = result["dataset"]
    _print(_figures_table(f"{dataset['n']} {dataset['split']} pairs of {dataset['path']}", [("judge", result)]))
    _ratings_line("judge", result)
    if result["invalid_reasons"]:
        _print("invalid: " + ", ".join(f"{reason} {count}" for reason, count in result["invalid_reasons"].items()))
    if "repeats" in result:
        _repeats_lines(result["repeats"])
    if "human" in result:
        _print(human_line(result["human"]))
    for part in ranking_tables(result["ranking"]) if result.get("ranking") else []:
        _print(part)


def status_table(result: dict[str, Any]) -> None:
    """What runs and what the aliases name."""
    endpoint = result["endpoint"]
    if endpoint is None:
        _print("endpoint   not running")
    else:
        state = "ready" if endpoint["ready"] else f"not ready ({endpoint.get('reason', 'no release')})"
        _print(f"endpoint   {endpoint['url']} {state}, release {endpoint.get('release')}")
    for alias, release in sorted(result["aliases"].items()):
        passed = result["gates"][release]
        _print(f"{alias}  {release}, " + ("gate passed" if passed else "gate NOT passed"))
    for one in result["overrides"]:
        _print(f"override   {one['release']}: {one['command']}, {one['date'][:10]}: {one['reason']}")


def doctor_table(result: dict[str, Any]) -> None:
    """One line per check."""
    table = Table("check", "", "found", "what to do")
    for check in result["checks"]:
        table.add_row(check["name"], "ok" if check["is_ok"] else "FIX", check["found"], check["advice"])
    _print(table)


def ledger_table(result: dict[str, Any]) -> None:
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
    _print(table)
    tokens = result["reflection_prompt_tokens"], result["reflection_completion_tokens"]
    _print(f"reflections    {result['reflections']:,} ({tokens[0]:,} prompt and {tokens[1]:,} completion tokens)")
    _print(f"runs           {result['runs']:,}")
    _print(f"reviews        {result['review_events']:,} actions")
    _print(f"test openings  {result['test_openings']:,}")
    if result["judgments"]:
        _print(f"stored         {result['first_stored_at']} to {result['last_stored_at']}")
    _print(f"size           {result['size_bytes'] / 1e6:,.1f} MB")


def forget_table(result: dict[str, Any]) -> None:
    """What was forgotten, and the files that a person has to look at."""
    _print(f"judgments    {result['judgments']} emptied")
    _print(f"reflections  {result['reflections']} deleted")
    _print(f"reviews      {result['review_events']} actions emptied")
    for path in result["files_rewritten"]:
        _print(f"rewritten    {path}")
    for path in result["still_hold"]:
        _print(f"still holds  {path}; look at it and delete it")


def ablation_table(result: dict[str, Any]) -> None:
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
    _print(table)


def bullets_table(result: dict[str, Any]) -> None:
    """One line per bullet, and how many are left out."""
    table = Table("id", "bullet", "author", "date")
    table.add_column("sources", justify="right")
    for bullet in result["bullets"]:
        row = (bullet["text"], bullet["author"], bullet["created_at"][:10])
        table.add_row(bullet["id"], *map(Text, row), str(len(bullet["sources"])))
    _print(table if result["bullets"] else "no bullets")
    if result["held_out"]:
        _print(f"left out: {result['held_out']} learned from val or test pairs only; --all-splits shows them")


def distilled_table(result: dict[str, Any]) -> None:
    """The bullets, the lines that were refused, and what to do next."""
    bullets_table({"bullets": result["bullets"], "held_out": 0})
    for line in result["refused"]:
        _print(f"refused    {line['reason']}: {line['text']}")
    if result["writer"] is None:
        _print("no model wrote anything: reviewers' own lines stand at their pairs as they are")
    _print(f"{result['explanations']} explanations; new lines proposed at {result['proposed']} pairs, for review")


def removed_table(result: dict[str, Any]) -> None:
    """The bullets that left the library."""
    for bullet in result["removed"]:
        _print(f"removed  {bullet['id']}  {bullet['text']}")
    _print("accept or import them again to have them back; releases that hold them are as they were")


def plain_table(result: dict[str, Any]) -> None:
    """Key and value, one a line."""
    for key, value in result.items():
        _print(f"{key}  {value}")


def _figures_table(title: str, arms: list[tuple[str, dict[str, Any]]]) -> Table:
    table = Table(title=title, title_justify="left")
    table.add_column("judge")
    for name in ("NMSE", "95 % interval", "valid", "invalid", "NMSE of valid", "constant", "skill"):
        table.add_column(name, justify="right")
    for name, figures in arms:
        low, high = figures["nmse_ci95"]
        table.add_row(
            name,
            f"{figures['nmse']:.1f}",
            f"{low:.1f} to {high:.1f}",
            str(figures["valid"]),
            str(figures["invalid"]),
            "-" if figures["nmse_valid"] is None else f"{figures['nmse_valid']:.1f}",
            f"{figures['nmse_constant']:.1f}",
            _skill(figures),
        )
    return table


def _skill(figures: dict[str, Any]) -> str:
    if figures["skill"] is None:
        return "-"
    interval = figures.get("skill_ci95")
    ends = f" ({interval[0]:+.2f} to {interval[1]:+.2f})" if interval else ""
    return f"{figures['skill']:+.2f}{ends}"


def _steps_table(result: dict[str, Any]) -> Table:
    """Each step of a choice of bullets: NMSE on test and on validation, and what it did there."""
    table = Table(title="steps", title_justify="left")
    table.add_column("change")
    for name in ("NMSE, test", "NMSE, val", "difference, val", "95 % interval", "calls"):
        table.add_column(name, justify="right")
    for step, tested in zip(result["steps"], result["waterfall"], strict=True):
        low, high = step["ci95"]
        change = "removed, not needed" if step["ground"] == "not needed" else step["change"]
        changed = Text("\n".join([change, *(f"- {bullet['text']}" for bullet in step["bullets"])]))
        figures = (f"{tested['nmse']:.1f}", f"{step['nmse']:.1f}", f"{step['delta_nmse']:+.2f}")
        table.add_row(changed, *figures, f"{low:+.2f} to {high:+.2f}", str(step["calls"]))
    return table


def _ratings_line(name: str, figures: dict[str, Any]) -> None:
    """How often which rating was given, and that a judge is collapsed if it is nearly always the same."""
    counts = figures["rating_counts"]
    line = f"ratings    {name}: " + ", ".join(f"{rating}: {count}" for rating, count in counts.items())
    share = figures["largest_rating_share"]
    if share > GateConfig().max_single_rating_share:
        line += f"; collapsed, {share:.0%} are {max(counts, key=counts.__getitem__)}"
    _print(line)


def _repeats_lines(repeats: dict[str, Any]) -> None:
    spread = repeats["spread"]
    deviation = "-" if spread["mean_sd"] is None else f"{spread['mean_sd']:.2f}"
    _print(
        f"repeats at temperature {repeats['temperature']:g}: standard deviation within a pair {deviation}, "
        f"the rating of {spread['changing_share']:.0%} of the pairs changes"
    )
    table = Table("k", "calls", "tokens", "NMSE of the mean", "NMSE of the majority", "mean against one")
    for row in repeats["by_count"]:
        cells = [f"{row[how]['nmse']:.1f} ({_interval(row[how]['nmse_ci95'])})" for how in ("mean", "majority")]
        gain = f"{row['mean']['delta_nmse']:+.1f} ({_interval(row['mean']['ci95'], '+')})"
        table.add_row(str(row["k"]), f"{row['calls']:,}", f"{row['tokens']:,}", *cells, gain)
    _print(table)


def _interval(bounds: list[float] | None, sign: str = "") -> str:
    if bounds is None:
        return "too few queries"
    return f"{bounds[0]:{sign}.1f} to {bounds[1]:{sign}.1f}"


def _calibration_lines(calibration: dict[str, Any]) -> None:
    errors = ", ".join(f"{kind} {nmse:.1f}" for kind, nmse in calibration["cv_nmse"].items())
    reason = f" ({calibration['reason']})" if calibration["reason"] else ""
    _print(
        f"calibration {calibration['kind']}{reason}"
        + (f"; NMSE on train by cross-validation: {errors}" if errors else "")
    )
    before, after = (calibration[when]["calibration_error"] for when in ("before", "after"))
    if before is not None and after is not None:
        _print(f"mean distance of answers from human ratings, in bins: {before:.2f} before, {after:.2f} after")


def rules_table(gate: dict[str, Any]) -> Table:
    """Every rule of a gate with its limit, what was found, and why where it did not pass."""
    table = Table("rule", "", title="gate", title_justify="left")
    table.add_column("limit", justify="right")
    table.add_column("found", justify="right")
    table.add_column("")
    for rule in gate["rules"]:
        status = {"passed": "ok", "failed": "NO", "not_checked": "-"}[rule["status"]]
        limit, found = ("" if rule[key] is None else f"{rule[key]:.4g}" for key in ("limit", "found"))
        table.add_row(rule["name"].replace("_", " "), status, limit, found, Text(rule["reason"] or ""))
    return table


def _shifts_table(shifts: list[dict[str, Any]]) -> Table:
    table = Table("perturbed pairs", "should", title="mean shift of ratings", title_justify="left")
    for name in ("pairs", "invalid", "shift", "95 % interval", "moved by 1"):
        table.add_column(name, justify="right")
    for shift in shifts:
        row = [shift["kind"], shift["expected"].replace("_", " "), str(shift["n"]), str(shift["invalid"])]
        mean, interval, moved = shift["mean_shift"], shift["ci95"], shift["moved_share"]
        row += ["-" if mean is None else f"{mean:+.2f}"]
        row += [f"{interval[0]:+.2f} to {interval[1]:+.2f}" if interval else "-"]
        row += ["-" if moved is None else f"{moved:.0%}"]
        table.add_row(*row)
    return table


def _gate_line(gate: dict[str, Any]) -> None:
    if gate.get("rules"):
        _print(rules_table(gate))
    if gate.get("changed_limits"):
        _print(
            "limits     changed: " + ", ".join(f"{name} {limit:g}" for name, limit in gate["changed_limits"].items())
        )
    _print("gate       passed" if gate["passed"] else f"gate       refused, for {len(gate['reasons'])} reasons")
    if not gate.get("rules"):
        for reason in gate["reasons"]:
            _print(f"gate       refused: {reason}")
    if gate.get("override"):
        _print(f"override   {gate['override']}")


def print_plain(what: Any) -> None:
    """Print a line, a text or a table; nothing in a line is markup."""
    _print(what)


def _print(what: Any) -> None:
    console = _PlainConsole(highlight=False, width=None if Console().is_terminal else 120)
    if isinstance(what, str):
        console.print(what, markup=False, soft_wrap=True)
    else:
        console.print(what)

"""The waterfall of a choice of bullets: its accepted steps on held-out examples, once the winner is decided."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from cluster.measuring.measure import Measured
from judge_serve.judging.program import Program
from judge_serve.judging.scale import Scale
from optimize_workers.library.bullets import Bullet
from optimize_workers.library.selection import HarmfulBullet, Selection, Step
from optimize_workers.statistics.comparison import Comparison, compare


class HeldOutStep(NamedTuple):
    """A step on held-out examples, compared with the step before; with itself for the baseline."""

    step: Step
    measured: Measured
    comparison: Comparison


def measure_steps(
    steps: Sequence[Step], known: Sequence[Measured], measure: Callable[[int, Program], Measured], scale: Scale
) -> list[HeldOutStep]:
    """Measure what the steps led to; judges that are measured already are not measured again.

    Args:
        steps: of the search, the baseline first.
        known: judges on the held-out examples.
        measure: measures the program of the step with this number on the same examples.
        scale: of the ratings.
    """
    by_program = {one.release.judge.program.digest: one for one in known}
    measured: list[HeldOutStep] = []
    for number, step in enumerate(steps):
        if step.program.digest not in by_program:
            by_program[step.program.digest] = measure(number, step.program)
        one = by_program[step.program.digest]
        before = measured[-1].measured if measured else one
        measured.append(HeldOutStep(step, one, compare(before.judgments, one.judgments, one.examples, scale)))
    return measured


def selection_as_dict(selection: Selection, held_out: Sequence[HeldOutStep], changed: str | None) -> dict[str, Any]:
    """What `result.json` says about a choice of bullets: `steps`, `waterfall`, `harmful` and `diff_budget`."""
    return {
        "steps": [
            {
                **_shown(step),
                "split": "val",
                "nmse": step.nmse,
                "nmse_ci95": list(step.ci95),
                "delta_nmse": step.delta_nmse,
                "ci95": list(step.delta_ci95),
                "p_value": step.p_value,
                "calls": step.calls,
            }
            for step in selection.steps
        ],
        "waterfall": [
            {
                **_shown(step),
                "split": "test",
                "nmse": measured.figures.nmse,
                "nmse_ci95": list(measured.figures.nmse_ci95),
                "delta_nmse": comparison.delta_nmse,
                "ci95": list(comparison.ci95),
            }
            for step, measured, comparison in held_out
        ],
        "harmful": [_shown_harmful(bullet) for bullet in selection.harmful],
        "diff_budget": {"kept": changed is None, "changed": changed},
    }


def _shown(step: Step) -> dict[str, Any]:
    bullets = [{"id": Bullet(text=text).id, "text": text} for text in step.bullets]
    ground = None if step.ground is None else str(step.ground)
    return {"change": str(step.change), "ground": ground, "bullets": bullets, "num_bullets": len(step.program.bullets)}


def _shown_harmful(bullet: HarmfulBullet) -> dict[str, Any]:
    shown = {"id": Bullet(text=bullet.text).id, "text": bullet.text}
    return {**shown, "split": "train", "shrunk_added_nmse": bullet.shrunk_added_nmse, "error": bullet.error}

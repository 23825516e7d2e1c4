"""The diff budget of a choice of bullets: bullets may be added to the baseline, all else stays byte for byte."""

from __future__ import annotations

from judge_serve.judging.judge import Judge
from judge_serve.judging.rendering import render_bullets, render_system

_OUTSIDE = ("task", "model", "sampling", "mode")


def changed_outside_bullets(baseline: Judge, winner: Judge) -> str | None:
    """What differs between two judges beside bullets that were added; None if nothing does.

    Held against each other are all fields of the judges, the baseline's own bullets, which must stand first as they
    did, and the bytes of their system turns without the bullet block.
    """
    changed = [name for name in _OUTSIDE if getattr(baseline, name) != getattr(winner, name)]
    before, after = (judge.program.model_dump(mode="json", exclude={"bullets"}) for judge in (baseline, winner))
    changed += [f"the program's {name}" for name in before if before[name] != after[name]]
    own = baseline.program.bullets
    if winner.program.bullets[: len(own)] != own:
        changed.append("the baseline's own bullets")
    if not changed and _frame(baseline) != _frame(winner):
        changed = ["the rendered prompt around the block"]
    return ", ".join(changed) or None


def _frame(judge: Judge) -> bytes:
    """The system turn without its bullet block."""
    system = render_system(judge.task, judge.program, judge.mode)
    if judge.program.bullets:
        system = system.replace(f"\n\n{render_bullets(judge.program.bullets)}", "", 1)
    return system.encode("utf-8", "surrogatepass")

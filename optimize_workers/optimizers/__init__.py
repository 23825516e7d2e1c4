"""Optimizers: a name, and where its search is; adding one is a module and a line. None is imported before its use."""

from __future__ import annotations

from pkgutil import resolve_name
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from optimize_workers.study import Optimizer

OPTIMIZERS: dict[str, str] = {
    "gepa": "optimize_workers.optimizers.gepa.search:GepaOptimizer",
    "mipro": "optimize_workers.optimizers.mipro.search:MiproOptimizer",
    "bullets": "optimize_workers.optimizers.bullets.search:BulletOptimizer",
}


def load_optimizer(name: str) -> type[Optimizer]:
    """The class of an optimizer; its libraries are imported now."""
    kind: type[Optimizer] = resolve_name(OPTIMIZERS[name])
    return kind


def check_optimizer(name: str) -> str:
    """Raise ValueError unless an optimizer has this name."""
    if name not in OPTIMIZERS:
        raise ValueError(f"unknown optimizer {name!r}; use one of {', '.join(OPTIMIZERS)}")
    return name

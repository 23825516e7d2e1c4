"""Optimizers, one module each; adding one is a file and a line in `OPTIMIZERS`."""

from optimize_workers.optimizers.bullets.search import BulletOptimizer
from optimize_workers.optimizers.gepa.search import GepaOptimizer
from optimize_workers.optimizers.mipro.search import MiproOptimizer
from optimize_workers.study import Optimizer

OPTIMIZERS: dict[str, type[Optimizer]] = {
    "gepa": GepaOptimizer,
    "mipro": MiproOptimizer,
    "bullets": BulletOptimizer,
}

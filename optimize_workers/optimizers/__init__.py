"""Optimizers, one module each; adding one is a file and a line in `OPTIMIZERS`."""

from optimize_workers.optimizers.bullets import BulletOptimizer
from optimize_workers.optimizers.gepa import GepaOptimizer
from optimize_workers.optimizers.mipro import MiproOptimizer
from optimize_workers.study import Optimizer

OPTIMIZERS: dict[str, type[Optimizer]] = {
    "gepa": GepaOptimizer,
    "mipro": MiproOptimizer,
    "bullets": BulletOptimizer,
}

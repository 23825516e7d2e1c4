"""What a search, its calibration and its proof all work with, from one hand to the next."""

from __future__ import annotations

from dataclasses import dataclass

from cluster.adapting.config import OptimizeConfig
from cluster.endpoint.session import Session
from cluster.measuring.measure import Measurer
from cluster.runs.run import Run
from judge_serve.judging.identity import ModelIdentity
from judge_serve.judging.judge import Judge
from optimize_workers.dataset.splits import Dataset


@dataclass(frozen=True)
class Adaptation:
    """A judge that is adapted to data, and with what.

    Attributes:
        judge: the baseline.
        dataset: its test split stays closed until the winner is decided.
        session: answers for the judge and, where the search writes, for the reflection model.
        measurer: what measures judges on examples, outside of the search and its budget.
        writer: the reflection model, with its scope in the ledger.
        run: where it is written.
        config: how it is done.
    """

    judge: Judge
    dataset: Dataset
    session: Session
    run: Run
    config: OptimizeConfig
    measurer: Measurer
    writer: ModelIdentity

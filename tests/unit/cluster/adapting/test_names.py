"""Names that a config lists without importing what they stand for."""

from typing import get_args

from cluster.adapting.config import MethodName, OptimizerName
from optimize_workers.evidence.calibration_fit import Method
from optimize_workers.optimizers import OPTIMIZERS


def test_the_config_names_every_optimizer_of_the_table():
    assert set(get_args(OptimizerName)) == set(OPTIMIZERS)


def test_the_config_names_every_way_to_choose_a_calibration():
    assert set(get_args(MethodName)) == {method.value for method in Method}

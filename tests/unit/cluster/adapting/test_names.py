"""Names that a config lists without importing what they stand for."""

from typing import get_args

import pytest
from pydantic import ValidationError

from cluster.adapting.config import MethodName, OptimizeConfig
from optimize_workers.evidence.calibration_fit import Method
from optimize_workers.optimizers import OPTIMIZERS, load_optimizer


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_every_optimizer_of_the_table_is_there(name):
    assert callable(load_optimizer(name)().run)


def test_an_optimizer_of_no_table_is_refused_with_those_that_there_are():
    with pytest.raises(ValidationError, match="unknown optimizer 'sgd'; use one of gepa, mipro, bullets"):
        OptimizeConfig(data="d.jsonl", optimizer="sgd", out="o")


def test_the_config_names_every_way_to_choose_a_calibration():
    assert set(get_args(MethodName)) == {method.value for method in Method}

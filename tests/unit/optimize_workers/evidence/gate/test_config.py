"""The limits of the gate: which of them can be set."""

import pytest

from optimize_workers.evidence.gate.config import GateConfig


def test_limits_are_finite_numbers():
    with pytest.raises(ValueError, match="finite"):
        GateConfig(max_worsening=float("nan"))

"""Programs of the system that tests drive: where this user can install one, its absence is a failure, not a skip."""

import os
import shutil

import pytest


def missing(program, package):
    """End a test whose program is not there: it fails where `apt-get` is at hand for root, and skips elsewhere."""
    if os.geteuid() == 0 and shutil.which("apt-get"):
        pytest.fail(f"{program} is not installed, and this user can: apt-get install {package}")
    pytest.skip(f"{program} is not installed, and this user cannot install packages of the system ({package})")

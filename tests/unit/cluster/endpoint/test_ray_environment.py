"""What is made ready for Ray before it is imported or started."""

import os
import stat
import subprocess
import sys

from cluster.endpoint.ray_environment import keep_ray_token_private, prepare_ray_environment


def mode_of(path):
    return stat.S_IMODE(path.stat().st_mode)


def test_nobody_else_reads_the_token_of_ray(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    token = tmp_path / ".ray" / "auth_token"
    keep_ray_token_private()
    assert mode_of(token.parent) == 0o700
    token.write_text("secret")
    token.chmod(0o644)  # as Ray 2.60 writes it
    keep_ray_token_private()
    assert mode_of(token) == 0o600


def test_a_new_ray_asks_for_a_token_and_a_cluster_of_others_is_met_as_it_is(monkeypatch, tmp_path):
    def mode_with(**environment):
        for name in ("RAY_AUTH_MODE", "RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH", "RAY_ADDRESS"):
            monkeypatch.delenv(name, raising=False)
        monkeypatch.setenv("HOME", str(tmp_path))
        for name, value in environment.items():
            monkeypatch.setenv(name, value)
        prepare_ray_environment()
        return os.environ.get("RAY_AUTH_MODE")

    assert mode_with() == "token"
    assert mode_with(RAY_ADDRESS="head:6379") is None
    assert mode_with(RAY_ADDRESS="head:6379", RAY_AUTH_TOKEN="x") == "token"
    assert mode_with(RAY_ADDRESS="head:6379", RAY_AUTH_MODE="disabled", RAY_AUTH_TOKEN="x") == "disabled"


def test_what_serve_tells_of_itself_stays_off_the_terminal_but_for_errors():
    program = """
from cluster.endpoint.ray_environment import keep_ray_quiet, prepare_ray_environment
prepare_ray_environment()
keep_ray_quiet()
import logging, warnings
warnings.simplefilter("ignore")
from ray import serve  # sets the level of its logger
logging.getLogger("ray.serve").warning("Nothing to shut down")
logging.getLogger("ray.serve").error("broken")
logging.getLogger("cluster").warning("our own")
"""
    said = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stderr
    assert "Nothing to shut down" not in said
    assert "broken" in said and "our own" in said

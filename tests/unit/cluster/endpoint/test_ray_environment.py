"""What is made ready for Ray before it is imported or started."""

import stat

from cluster.endpoint.ray_environment import keep_ray_token_private


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

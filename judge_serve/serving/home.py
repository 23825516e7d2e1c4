"""Where this user's state lives: `RELEVANCE_JUDGE_HOME`, by default the user's data folder."""

from __future__ import annotations

import os
from pathlib import Path

import platformdirs


def home() -> Path:
    """Root of the state: ledger, registry, run state."""
    return Path(os.environ.get("RELEVANCE_JUDGE_HOME") or platformdirs.user_data_dir("relevance-judge"))


def models_dir() -> Path:
    """Cache of converted models; `RELEVANCE_JUDGE_MODELS` shares one between several homes."""
    return Path(os.environ.get("RELEVANCE_JUDGE_MODELS") or home() / "models")

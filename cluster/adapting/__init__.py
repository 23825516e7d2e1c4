"""Adapting a judge: a search, its proof on held-out examples, calibration, and what is kept of them."""

"""Releases with their aliases and gate answers, kept in MLflow, and what people do with them."""

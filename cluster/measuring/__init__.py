"""Measuring one judge: on one split, repeatedly, and without one of its bullets."""

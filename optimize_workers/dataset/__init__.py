"""Labelled data: rows with their place, examples in splits, near copies across them."""

"""Texts as words: normalised, and as vectors."""

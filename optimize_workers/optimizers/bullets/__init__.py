"""The optimizer that only chooses bullets."""

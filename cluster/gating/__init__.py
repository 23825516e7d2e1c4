"""The gate as a command: what a release is held against, both measured, the answer and its files."""

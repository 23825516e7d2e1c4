"""This machine: its stores, and what `doctor` looks at."""

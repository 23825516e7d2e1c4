"""GEPA: rewrites a program's sections from feedback."""

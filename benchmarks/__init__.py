"""Benchmarks and load tests, and the simulated engine that they judge with; not shipped."""

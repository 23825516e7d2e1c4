"""The gate: its limits, its rules, and the adversarial suite."""

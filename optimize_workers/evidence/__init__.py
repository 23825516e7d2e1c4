"""Evidence: what the judgments say of a judge and of its labels, and the gate before a release."""

"""Evidence: comparing two judges on the same examples, and the gate before a release."""

"""The review page: people read disagreements on this machine, explain them and decide on bullets."""

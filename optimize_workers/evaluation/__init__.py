"""Judge calls carried out within a budget, each of them once, and the figures of what came back."""

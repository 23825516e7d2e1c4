"""Models as data: how they are served and what their tokens cost."""

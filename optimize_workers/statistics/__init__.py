"""Statistics on queries: resampling, paired comparison, races and the tests of a step."""

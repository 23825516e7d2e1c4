"""Optimize and measure judges: data, figures, judge calls on Ray actors, optimizers, evidence.

The one contract: a `Layer` takes judge calls and returns judgments in the same order, or raises; an engine that fails
never scores a candidate.
"""

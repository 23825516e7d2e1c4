"""Optimize and measure judges: data, figures, the evaluation plane on Ray actors, optimizers, evidence.

The one contract: `EvaluationPlane.evaluate` takes judge calls and returns judgments in the same order, or raises;
an engine that fails never scores a candidate.
"""

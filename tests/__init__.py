"""Tests of relevance-judge."""

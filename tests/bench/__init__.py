"""Measurements against plain baselines: ``python -m tests.bench``, and what ADRs refer to."""

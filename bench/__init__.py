"""Benchmarks: ``python -m bench.NAME`` measures against a baseline in the same run.

Not commands: baselines/, and the helpers harness.py, random_models.py and finding_spans.py.
"""

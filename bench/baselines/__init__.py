"""Baselines of the benchmarks: other methods, and our own results computed without optimisations."""

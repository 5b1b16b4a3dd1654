"""Benchmarks: every file is a command, ``python -m bench.NAME``, that measures against a baseline in the same run."""

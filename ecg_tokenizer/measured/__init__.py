"""Measured values of an ECG as tokens that follow its codes."""

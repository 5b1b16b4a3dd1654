"""Chains of questions that reason from an ECG to a diagnosis, in the form of ECG-Reasoning-Benchmark."""

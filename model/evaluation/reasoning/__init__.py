"""ECG-Reasoning-Benchmark: chains of questions put to a checkpoint, their scores, and what is scored without an ECG."""

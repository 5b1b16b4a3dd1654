"""The command ``cardiolect``: ask a checkpoint, look at an ECG, run the stages, publish."""

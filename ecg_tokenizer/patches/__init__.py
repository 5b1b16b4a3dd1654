"""ECGs as patches of samples, without an encoder: ``REPRESENTATION=patches``."""

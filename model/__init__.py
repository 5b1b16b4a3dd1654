"""Stages 2 and 3: ECG codes as tokens of a causal language model."""

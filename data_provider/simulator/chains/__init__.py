"""Chains of questions about simulated ECGs, answered by measuring their beats without noise."""

"""Measures simulated signals against their truth, and looks for contradictions in what is said about them."""

"""Evaluation of checkpoints: samples with their predictions, scores, tables, pages, and comparisons of results."""

"""Representations compared: each trained and evaluated by its own env files, on the same data and questions."""

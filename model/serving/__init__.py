"""A checkpoint in use."""

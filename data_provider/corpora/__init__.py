"""Turns published corpora into manifests, one module per corpus: ``cardiolect prepare NAME``."""

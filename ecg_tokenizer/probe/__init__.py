"""Judges representations without a language model: ``cardiolect probe FOLDER ... --data PTBXL``."""

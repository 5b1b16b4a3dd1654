"""Openly served corpora -> folders that ``cardiolect prepare`` reads: resumed, verified, never half done."""

"""Openly served corpora -> folders that ``data_provider.prepare`` reads: resumed, verified, never half done."""

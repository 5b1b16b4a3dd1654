"""What is in prepared corpora, and whether anything leaks: ``python -m data_provider.audit``."""

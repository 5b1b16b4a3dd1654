"""What is in prepared corpora, and whether anything leaks: ``cardiolect audit``."""

"""Audits prepared corpora: what they contain, and whether anything leaks between splits."""

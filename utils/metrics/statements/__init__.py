"""Compares reports by what they state: diagnostic statements, coded with PTB-XL's codes."""

from cardiolect.utils.metrics.statements.extraction import extract
from cardiolect.utils.metrics.statements.scores import content_scores, content_table

__all__ = ["content_scores", "content_table", "extract"]

"""Reports compared by what they state: diagnostic statements coded as PTB-XL codes them."""

from cardiolect.utils.metrics.statements.extraction import extract
from cardiolect.utils.metrics.statements.scores import content_scores, content_table

__all__ = ["content_scores", "content_table", "extract"]

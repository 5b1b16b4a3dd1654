"""What a report states, in a line."""

from cardiolect.utils.metrics.statements import extract

_MARKS = {"present": "", "possible": "?", "absent": "-"}


def said(text: str) -> str:
    """ "LVH? MI- SR" for possible, absent and present codes."""
    return " ".join(sorted(code + _MARKS[status] for code, status in extract(text).items()))

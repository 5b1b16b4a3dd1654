"""The normal ranges of intervals, and ECG-QA's words for a value within or outside them.

ECG-QA does not publish its ranges. Those of RR, P, QT and QTc are fitted to its published comparisons by
`ecgqa.range_fit`, on the scale of `ecgqa.intervals`, where QT ends earlier than recorders say. Its answers about PR and
QRS do not follow from the measured intervals, so these two are the textbook's.
"""

# In milliseconds, both ends included. QT is corrected by Bazett's formula.
TEXTBOOK_RANGES_MS: dict[str, tuple[float, float]] = {  # adults: Surawicz and Knilans, Chou's Electrocardiography
    "rr interval": (600, 1000),
    "p duration": (80, 120),
    "pr interval": (120, 200),
    "qrs duration": (60, 120),
    "qt interval": (350, 440),
    "qt corrected": (350, 450),
}
NORMAL_RANGES_MS: dict[str, tuple[float, float]] = {
    **TEXTBOOK_RANGES_MS,
    "p duration": (65, 105),
    "qt interval": (310, 390),
    "qt corrected": (340, 400),
}
FEATURES = tuple(NORMAL_RANGES_MS)
BELOW, WITHIN, ABOVE = RANGES = ("below the normal range", "within the normal range", "above the normal range")


def range_of(feature: str, milliseconds: float, ranges: dict[str, tuple[float, float]] = NORMAL_RANGES_MS) -> str:
    """Which of `RANGES` a value is in."""
    low, high = ranges[feature]
    return RANGES[int(milliseconds >= low) + int(milliseconds > high)]

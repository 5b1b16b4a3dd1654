"""The normal ranges of intervals, and ECG-QA's words for a value within or outside them."""

# In milliseconds, both ends included: the usual ranges for adults (Surawicz and Knilans, Chou's Electrocardiography).
# QT is corrected by Bazett's formula.
NORMAL_RANGES_MS: dict[str, tuple[float, float]] = {
    "rr interval": (600, 1000),
    "p duration": (80, 120),
    "pr interval": (120, 200),
    "qrs duration": (60, 120),
    "qt interval": (350, 440),
    "qt corrected": (350, 450),
}
FEATURES = tuple(NORMAL_RANGES_MS)
BELOW, WITHIN, ABOVE = RANGES = ("below the normal range", "within the normal range", "above the normal range")


def range_of(feature: str, milliseconds: float) -> str:
    """Which of `RANGES` a value is in."""
    low, high = NORMAL_RANGES_MS[feature]
    return RANGES[int(milliseconds >= low) + int(milliseconds > high)]

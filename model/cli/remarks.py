"""What whoever asks about an ECG should know of it."""

from cardiolect.data_provider.record import LEADS, ECGRecord
from cardiolect.model.inference.chat import SECONDS


def remarks(ecg: ECGRecord) -> list[str]:
    """A sentence for each way in which an ECG is less than models are trained on."""
    found = []
    if ecg.seconds < SECONDS:
        found.append(f"{ecg.seconds:.1f} s of ECG; models are trained on {SECONDS:g} s.")
    if absent := [lead for lead, there in zip(LEADS, ecg.lead_present, strict=True) if not there]:
        found.append(f"Not recorded, and read as flat: {', '.join(absent)}.")
    return found

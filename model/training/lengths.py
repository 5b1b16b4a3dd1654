"""What is too long for the language model, or too short for the objective: left out before training, and counted."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from torch.utils.data import Dataset

from cardiolect.data_provider.splits import Split
from cardiolect.ecg_tokenizer.cached import CachedECGs
from cardiolect.utils import launch
from cardiolect.utils.errors import UserError


@dataclass
class Unfit:
    """Training data that is left out for its length; nothing is found too long during training.

    total: recordings or questions, of which ``what`` says. too_long: how many have more tokens than ``limit``, the most
    that the language model takes. longest: tokens of the longest of these, of the recordings ``record``. too_short: how
    many are too short for any window of PRETRAIN_OBJECTIVE=multiscale.
    """

    what: str
    limit: int | None
    total: int = 0
    too_long: int = 0
    longest: int = 0
    record: str = ""
    too_short: int = 0

    def fitting(self, tokens: np.ndarray, record: Callable[[int], str]) -> np.ndarray:
        """Count some; returns which of them fit.

        tokens: of the ECG and the text of each, 0 if it is too short. record: the recording of one of them.
        """
        too_long = tokens > (np.inf if self.limit is None else self.limit)
        self.total += len(tokens)
        self.too_short += int((tokens == 0).sum())
        self.too_long += int(too_long.sum())
        if too_long.any() and tokens.max() > self.longest:
            self.longest, self.record = int(tokens.max()), record(int(tokens.argmax()))
        return (tokens > 0) & ~too_long

    def sentence(self, fewer_tokens: str) -> str:
        """What was left out, why, and how to change it; "" if nothing was."""
        parts = []
        if self.too_long:
            parts.append(
                f"{self.too_long} of {self.total} {self.what} are left out: with their ECG they have more than the "
                f"{self.limit} tokens that the language model takes; the longest, of record {self.record}, has "
                f"{self.longest} tokens; set RECORD_SECONDS, or fewer tokens per second ({fewer_tokens})"
            )
        if self.too_short:
            parts.append(
                f"{self.too_short} of {self.total} {self.what} are left out: too short for any window of "
                "PRETRAIN_OBJECTIVE=multiscale"
            )
        return "; ".join(parts)

    def figures(self) -> dict[str, int]:
        """For cardiolect.json, without the recording's id."""
        found = {"of": self.total, "too_long": self.too_long, "too_short": self.too_short}
        return found | ({"longest_tokens": self.longest} if self.too_long else {})


def check_lengths(
    train_rows: Dataset, valid_rows: Dataset, ecgs: CachedECGs, splits: Mapping[str, Split], seconds: float
) -> dict[str, Any]:
    """Say what the length of recordings and texts leaves out of training and validation; returns it for the checkpoint.

    Datasets have ``unfit`` (`Unfit`). seconds: RECORD_SECONDS. Raises `UserError` if nothing is left.
    """
    figures: dict[str, Any] = {"record_seconds": seconds}
    for name, rows in (("train", train_rows), ("valid", valid_rows)):
        what = {"valid": "validation"}.get(name, name)
        cropped, sentence = ecgs.cropped(splits[name].records), rows.unfit.sentence(ecgs.representation.fewer_tokens)
        if not len(rows):
            raise UserError(f"there are no {what} sequences: {sentence or 'none of the recordings could be read'}")
        if launch.is_main() and cropped:
            which = "one of the windows that cover it, drawn in every epoch" if name == "train" else "its first window"
            print(f"{what}: {cropped} recordings are longer than RECORD_SECONDS={seconds:g}; of each, {which}, is used")
        if launch.is_main() and sentence:
            print(f"{what}: {sentence}")
        figures[name] = {"cropped_recordings": cropped, "unfit": rows.unfit.figures()}
    return {"lengths": figures}

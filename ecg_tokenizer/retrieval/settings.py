"""Settings of retrieval: similar training recordings in the prompt."""

from collections.abc import Collection, Iterable
from importlib.util import find_spec
from typing import Literal

from pydantic import Field

from cardiolect.utils.errors import UserError
from cardiolect.utils.settings import EnvSettings, Paths, need_path

NONE = "none"
FOLDER, ARRAYS, TEXTS = "retrieval", "index.safetensors", "index.json"  # of the index in a checkpoint


class RetrievalSettings(EnvSettings):
    """What of similar training recordings is in the prompt, in training and whenever the checkpoint is asked."""

    retrieve: Literal["none", "measured", "ecg-bench", "embedding", "histogram"] = Field(
        NONE,
        description="Put what was written about similar training recordings of other patients into the prompt, and "
        "find them by: measured (rate, intervals, axis, waves and noise), ecg-bench (its 288 features), embedding (of "
        "the ECG's rows or tokens, their mean) or histogram (of its tokens).",
    )
    neighbours: int = Field(1, ge=1, le=20, description="Similar recordings in a prompt.")
    neighbour_content: Literal["findings", "report"] = Field(
        "findings", description="What of them: the statements that their reports make, or the reports as written."
    )
    neighbour_place: Literal["user", "system"] = Field(
        "user",
        description="Where: user (with the patient, in the message that has the ECG) or system (PROMPT=chat: the "
        "system message, if the language model's chat template has one).",
    )
    neighbour_words: int = Field(60, ge=5, description="Longer texts of similar recordings are cut off.")
    neighbour_dropout: float = Field(
        0.1,
        ge=0,
        lt=1,
        description="Share of training sequences with the ECG but without similar recordings, so that FLOORS="
        "no_neighbours is a fair one. In addition, half as many as ECG_DROPOUT leaves without both have similar "
        "recordings without the ECG, for neighbours_only.",
    )
    neighbour_reports: Paths = Field(
        default_factory=list,
        description="JSON files or folders with reports on training recordings. Empty: those among TRAIN_DATA.",
    )
    neighbour_search: Literal["numpy", "faiss"] = Field(
        "numpy", description="faiss (an extra of the package): faster for large corpora; both find the same."
    )

    @property
    def neighbours_in_system(self) -> bool:
        return self.retrieve != NONE and self.neighbour_place == "system"

    def unused_neighbours(self) -> Iterable[tuple[str, Collection[str]]]:
        """As `unused`, of these settings alone."""
        if self.retrieve == NONE:
            yield "RETRIEVE is not set", {name for name in RetrievalSettings.model_fields if "neighbour" in name}

    def check_neighbours(self) -> None:
        """Raise `UserError` if there are no such reports, or no faiss."""
        for path in self.neighbour_reports:
            need_path("NEIGHBOUR_REPORTS", path, "a JSON file or folder with reports")
        if self.neighbour_search == "faiss":
            check_faiss()


def check_faiss() -> None:
    """Raise `UserError` if faiss is not installed."""
    if find_spec("faiss") is None:
        raise UserError('NEIGHBOUR_SEARCH=faiss: faiss is not installed: pip install -e ".[faiss]"')

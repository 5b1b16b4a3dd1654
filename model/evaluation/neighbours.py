"""Similar training recordings in the prompts of an evaluation, as the checkpoint was trained with them."""

from collections.abc import Sequence
from typing import TypeVar

from cardiolect.data_provider.examples import RecordRef
from cardiolect.data_provider.splits import known_recordings
from cardiolect.ecg_tokenizer.cached import CachedECGs, prepare_corpus
from cardiolect.ecg_tokenizer.retrieval.corpus import find_neighbours, in_index
from cardiolect.model.evaluation.conditions import NEIGHBOUR_CONDITIONS
from cardiolect.model.evaluation.settings import CheckpointSettings
from cardiolect.model.llm.checkpoint import Checkpoint

Settings = TypeVar("Settings", bound=CheckpointSettings)


def with_neighbour_floors(checkpoint: Checkpoint, settings: Settings) -> Settings:
    """Unless FLOORS is set, a checkpoint with similar recordings is evaluated without them, too, and with others."""
    if checkpoint.index is None or "floors" in settings.model_fields_set:
        return settings
    return settings.model_copy(update={"floors": [*settings.floors, *NEIGHBOUR_CONDITIONS]})


def prepare_ecgs(
    checkpoint: Checkpoint, refs: Sequence[RecordRef], settings: CheckpointSettings, seconds: float
) -> CachedECGs:
    """`prepare_corpus`, with similar recordings if the checkpoint has an index, but none for patients who are in it."""
    ecgs = prepare_corpus(checkpoint.representation, refs, settings, seconds)
    if checkpoint.index is not None:
        away = in_index(checkpoint.index, refs, known_recordings(settings.data_root).values())
        find_neighbours(checkpoint.index, refs, ecgs, settings, away=away)
    return ecgs

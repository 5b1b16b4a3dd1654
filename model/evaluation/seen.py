"""Which of the evaluated patients a training stage of the checkpoint has seen."""

from collections.abc import Iterable, Sequence
from typing import Any

from cardiolect.data_provider.audit.seen import load_seen, seen_again
from cardiolect.data_provider.examples import Example
from cardiolect.data_provider.splits import known_recordings
from cardiolect.model.evaluation.settings import EvalSettings


class SeenRecordings:
    """The recordings of ``examples`` that were seen, or whose patients were: by training or by its validation.

    known: whether the checkpoint says what it has seen; without its seen_recordings.json nothing can be found.
    """

    def __init__(self, examples: Sequence[Example], settings: EvalSettings):
        seen = load_seen(settings.checkpoint)
        corpus = known_recordings(settings.data_root).values()
        self.known = bool(seen)
        self._ids = seen_again([ref for e in examples for ref in e.records], corpus, seen)

    def of(self, examples: Iterable[Example]) -> list[Example]:
        """The examples about a recording that was seen."""
        return [e for e in examples if not self._ids.isdisjoint(e.record_ids)]

    def count(self, scored: Sequence[Example], left_out: Sequence[Example]) -> dict[str, Any]:
        """For result.json: samples and patients that were seen, among those scored and among those left out."""
        seen = self.of(scored)
        return {
            "known": self.known,
            "samples": len(seen),
            "patients": self._patients(seen),
            "left_out_samples": len(left_out),
            "left_out_patients": self._patients(left_out),
        }

    def _patients(self, examples: Iterable[Example]) -> int:
        refs = {ref.record_id: ref for e in examples for ref in e.records if ref.record_id in self._ids}
        return len({ref.patient_id or f"record {ref.record_id}" for ref in refs.values()})

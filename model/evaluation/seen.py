"""Which of the evaluated patients a training stage of the checkpoint has seen."""

from collections.abc import Iterable, Sequence
from typing import Any

from cardiolect.data_provider.audit.seen import read_seen, seen_again
from cardiolect.data_provider.examples import Example
from cardiolect.data_provider.splits import known_recordings
from cardiolect.model.evaluation.settings import CheckpointSettings
from cardiolect.model.llm.checkpoint_folder import read_info
from cardiolect.utils.errors import UserError


class SeenRecordings:
    """What training, or its validation, has seen: recordings, and so their patients.

    unknown: why the checkpoint's list of them cannot be relied upon; "" if it can. unrecorded: what does not say what
    its list should hold, because an earlier release wrote it. Raises `UserError` if it is unknown what was seen, unless
    ACCEPT_UNKNOWN_LEAKAGE.
    """

    def __init__(self, settings: CheckpointSettings):
        self._settings = settings
        read_info(settings.checkpoint)  # says so if it is not a checkpoint
        self._list = read_seen(settings.checkpoint)
        self.unknown = self._list.unknown
        self.unrecorded = self._list.record.get("unrecorded", "") if self._list.record else "checkpoint"
        self._ids: set[str] = set()
        if self.unknown and not settings.accept_unknown_leakage:
            raise UserError(
                f"CHECKPOINT: which patients {settings.checkpoint} has seen in training is not known: {self.unknown}; "
                "copy the whole checkpoint again, or set ACCEPT_UNKNOWN_LEAKAGE=true for a result that says so"
            )

    def left_out(self, examples: Sequence[Example]) -> list[Example]:
        """Find what was seen of ``examples``, and return those to leave out.

        Raises `UserError` if they are more than MAX_LEFT_OUT.
        """
        corpus = known_recordings(self._settings.data_root).values()
        self._ids = seen_again([ref for e in examples for ref in e.records], corpus, self._list.marks)
        if self._settings.keep_seen_patients:
            return []
        seen = self.of(examples)
        if len(seen) > self._settings.max_left_out * len(examples):
            raise UserError(
                f"{len(seen)} of {len(examples)} samples ({len(seen) / len(examples):.1%}) are about patients that a "
                f"training stage of {self._settings.checkpoint} has seen, more than "
                f"MAX_LEFT_OUT={self._settings.max_left_out:g}: train all stages with HELD_OUT=TEST_DATA, or set "
                "MAX_LEFT_OUT, or KEEP_SEEN_PATIENTS=true"
            )
        return seen

    def of(self, examples: Iterable[Example]) -> list[Example]:
        """The examples about a recording that was seen."""
        return [e for e in examples if not self._ids.isdisjoint(e.record_ids)]

    def count(self, scored: Sequence[Example], left_out: Sequence[Example], asked: int) -> dict[str, Any]:
        """For result.json: samples and patients that were seen, among those scored and among those left out.

        asked: number of samples before any was left out.
        """
        seen = self.of(scored)
        return {
            "known": not self.unknown,
            "unknown": self.unknown,
            "unrecorded": self.unrecorded,
            "samples": len(seen),
            "patients": self._patients(seen),
            "left_out_samples": len(left_out),
            "left_out_patients": self._patients(left_out),
            "left_out_share": len(left_out) / asked,
        }

    def _patients(self, examples: Iterable[Example]) -> int:
        refs = {ref.record_id: ref for e in examples for ref in e.records if ref.record_id in self._ids}
        return len({ref.patient_id or f"record {ref.record_id}" for ref in refs.values()})

"""What a cache remembers of recordings that are not as a clean 12-lead ECG has it: leads absent, computed or
masked, limb leads that contradict one another, or a window instead of the whole."""

import json
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from cardiolect.data_provider.record import ECGRecord


class Remark(NamedTuple):
    """absent, computed: names of leads. masked: lead -> share of its samples. contradicts: limb leads contradict.
    cropped: seconds of the recording that are not in the window that was prepared.
    """

    absent: tuple[str, ...] = ()
    computed: tuple[str, ...] = ()
    masked: dict[str, float] = {}  # noqa: RUF012 (of a NamedTuple, never changed)
    contradicts: bool = False
    cropped: float = 0.0

    @classmethod
    def of(cls, record: ECGRecord) -> "Remark":
        masked = {lead: round(share, 4) for lead, share in record.masked.items()}
        return cls(record.absent, record.computed, masked, record.contradicts)


class Remarks:
    """``remarks.jsonl`` of a cache: a line for each recording about which there is something to say."""

    def __init__(self, folder: Path):
        self.path = folder / "remarks.jsonl"
        self._found: dict[int, Remark] = {}
        with suppress(OSError):
            for text in self.path.read_text().splitlines():
                with suppress(ValueError, KeyError, TypeError):  # a line that a killed run left incomplete
                    line = json.loads(text)
                    key = int(line.pop("key"), 16)
                    line.pop("record")
                    line |= {name: tuple(line[name]) for name in ("absent", "computed")}
                    self._found[key] = Remark(**line)

    def __getitem__(self, key: int) -> Remark:
        """The remark on the recording whose files have this key; an empty one if there is nothing to say."""
        return self._found.get(key, Remark())

    def add(self, found: Iterable[tuple[str, int, Remark]]) -> None:
        """Append recordings by id, key and remark; those without one are left out."""
        lines = []
        for record_id, key, remark in found:
            if remark != Remark():
                self._found[key] = remark
                lines.append(json.dumps({"record": record_id, "key": f"{key:016x}", **remark._asdict()}) + "\n")
        if lines:
            with self.path.open("a") as file:  # a single write, so that lines of several processes do not mix
                file.write("".join(lines))

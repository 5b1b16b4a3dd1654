"""Answers of an evaluation that is not finished: a killed one goes on where it stopped."""

import json
import shutil
from pathlib import Path

from cardiolect.model.evaluation.answers import Answer
from cardiolect.utils import launch

FOLDER = "unfinished"


class Journal:
    """Answers by condition and sample in OUTPUT_DIR/unfinished, a file per rank, written as they come.

    key: what the answers depend on. Answers under another key are dropped, with a line that says so.
    """

    def __init__(self, output_dir: Path, key: str):
        self.folder = output_dir / FOLDER
        self.known: dict[tuple[str, str], Answer] = {}
        others = []
        for path in sorted(self.folder.glob("rank-*.jsonl")):
            lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
            if lines[:1] != [key]:
                others.append(path)
                continue
            for line in lines[1:]:
                try:
                    condition, sample_id, *answer = json.loads(line)
                    self.known[condition, sample_id] = Answer(*answer)
                except (ValueError, TypeError):  # cut off by the kill
                    continue
        launch.barrier()  # every rank has read before one writes
        if launch.is_main():
            for path in others:
                path.unlink()
            if others:
                print(f"{self.folder}: answers of another checkpoint, data or settings are dropped")
            if self.known:
                print(f"going on behind {len(self.known)} answers that are in {self.folder}")
            self.folder.mkdir(parents=True, exist_ok=True)
        launch.barrier()
        path = self.folder / f"rank-{launch.rank()}.jsonl"
        cut_off = path.is_file() and path.read_bytes()[-1:] != b"\n"
        self._file = path.open("a", encoding="utf-8", buffering=1)  # by line: a kill loses the one being written
        if not self._file.tell():
            self._file.write(key + "\n")
        elif cut_off:
            self._file.write("\n")

    def add(self, condition: str, sample_id: str, answer: Answer) -> None:
        self._file.write(json.dumps([condition, sample_id, *answer], ensure_ascii=False) + "\n")

    def finish(self) -> None:
        """Remove the folder; the result is written."""
        self._file.close()
        launch.barrier()
        if launch.is_main():
            shutil.rmtree(self.folder, ignore_errors=True)

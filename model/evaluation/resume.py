"""Answers of an unfinished evaluation, so that it resumes where it was killed."""

import json
import shutil
from pathlib import Path

from cardiolect.model.evaluation.answers import Answer
from cardiolect.utils import launch

FOLDER = "unfinished"


class AnswerLog:
    """A log of answers by condition and sample in OUTPUT_DIR/unfinished, with one file per rank.

    key: everything that the answers depend on. Answers with another key are deleted, which is reported.
    known: ``(condition, sample id)`` -> answer of an earlier run.
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
        launch.barrier()  # all ranks read before any writes
        if launch.is_main():
            for path in others:
                path.unlink()
            if others:
                print(f"{self.folder}: deleted answers of another checkpoint, other data or settings")
            if self.known:
                print(f"resuming after {len(self.known)} answers in {self.folder}")
            self.folder.mkdir(parents=True, exist_ok=True)
        launch.barrier()
        path = self.folder / f"rank-{launch.rank()}.jsonl"
        cut_off = path.is_file() and path.read_bytes()[-1:] != b"\n"
        self._file = path.open("a", encoding="utf-8", buffering=1)  # line by line: a kill loses at most one
        if not self._file.tell():
            self._file.write(key + "\n")
        elif cut_off:
            self._file.write("\n")

    def add(self, condition: str, sample_id: str, answer: Answer) -> None:
        self._file.write(json.dumps([condition, sample_id, *answer], ensure_ascii=False) + "\n")

    def finish(self) -> None:
        """Delete the folder, once the result is written."""
        self._file.close()
        launch.barrier()
        if launch.is_main():
            shutil.rmtree(self.folder, ignore_errors=True)

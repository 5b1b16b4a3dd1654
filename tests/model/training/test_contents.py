"""Whatever changes a training sequence changes what RESUME compares, and is named."""

import shutil
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from cardiolect.data_provider.corpora.ptbxl_database import load_database
from cardiolect.data_provider.examples import Example, RecordRef
from cardiolect.data_provider.readers import read_record
from cardiolect.data_provider.simulator.wfdb_write import write_wfdb
from cardiolect.data_provider.splits import Split
from cardiolect.model.training import stages
from cardiolect.model.training.contents import contents_of_data
from cardiolect.model.training.settings import FinetuneSettings, PretrainSettings
from cardiolect.utils.errors import UserError
from tests.helpers.runs import finetune_lines, pretrain_lines

REFS = [RecordRef(str(i), Path(f"r{i}"), background=f"age {50 + i}") for i in range(3)]
ONE = Example("a", REFS[:1], "qa", "Is it fast?", ("no",), background="age 50", history=(("Any noise?", "no"),))
PAIR = Example("b", tuple(REFS[:2]), "qa", "Which differs?", ("none",))


class Codes:
    """Codes of recordings, one window each."""

    representation = SimpleNamespace(embeds=False)

    def __init__(self, **codes):
        self.codes = {ref.record_id: np.arange(4, dtype=np.uint16) + k for k, ref in enumerate(REFS)} | codes

    def windows(self, ref):
        return 1

    def item(self, ref, window):
        return self.codes[ref.record_id]


def contents(examples=(ONE, PAIR), refs=REFS, ecgs=None) -> dict[str, str]:
    splits = {name: Split(name, list(refs), list(examples)) for name in ("train", "valid")}
    return contents_of_data(splits, refs, ecgs or Codes())


OLDER = replace(REFS[1], background="age 90")
CHANGES = {
    "tasks": {"examples": (replace(ONE, task="instruct"), PAIR)},
    "earlier questions": {"examples": (replace(ONE, history=()), PAIR)},
    "patients' backgrounds": {"examples": (ONE, replace(PAIR, records=(REFS[0], OLDER)))},
    "questions and answers": {"examples": (replace(ONE, answers=("yes",)), PAIR)},
    "recordings": {"refs": [REFS[1], REFS[0], REFS[2]]},
    "content of the ECGs": {"ecgs": Codes(**{"2": np.array([0, 1, 2, 9], np.uint16)})},
}


@pytest.mark.parametrize("what", CHANGES)
def test_a_change_of_the_data_is_found_in_the_part_that_has_it(what):
    before, after = contents(), contents(**CHANGES[what])
    changed = {part for part in before if before[part] != after[part]}
    assert what in changed and changed <= {what, "data", *(["content of the ECGs"] if what == "recordings" else [])}


def test_equal_data_has_equal_hashes_wherever_it_lies():
    moved = [replace(ref, path=Path("elsewhere") / ref.path) for ref in REFS]
    examples = [replace(e, records=tuple(moved[int(i)] for i in e.record_ids)) for e in (ONE, PAIR)]
    assert contents(examples, moved) == contents()


def test_the_codes_of_one_recording_do_not_run_into_the_next():
    split = Codes(**{"0": np.array([0, 1], np.uint16), "1": np.array([2, 3, 1, 2, 3, 4], np.uint16)})
    assert contents()["content of the ECGs"] != contents(ecgs=split)["content of the ECGs"]


@pytest.mark.parametrize("stage", ["pretrain", "finetune"])
def test_a_recording_that_was_exchanged_stops_the_same_command(
    tmp_path, corpus, tokenizer_folder, checkpoint_folder, monkeypatch, stage
):
    folder = shutil.copytree(corpus, tmp_path / "corpus")
    figures = {"steps": 1, "epochs": 1.0, "train_loss": 1.0, "valid_loss": 1.0, "best_step": 1, "loss_curve": [1.0]}
    monkeypatch.setattr(stages, "train", lambda *_: dict(figures))
    lines = {"OUTPUT_DIR": tmp_path / "out", "CACHE_DIR": tmp_path / "cache", "WORKERS": 0, "MAX_TRAIN": 6}
    if stage == "pretrain":
        cls, run, own = PretrainSettings, stages.pretrain, pretrain_lines(folder, tokenizer_folder)
    else:
        cls, run, own = FinetuneSettings, stages.finetune, finetune_lines(folder, checkpoint_folder)
    env_file = tmp_path / "run.env"
    env_file.write_text(
        "".join(
            f"{key}={value}\n"
            for key, value in {"MAX_VALID": 2, "ACCEPT_UNKNOWN_LEAKAGE": "true", **own, **lines}.items()
        )
    )
    monkeypatch.setattr(stages, "in_words", lambda figures: "")
    run(cls.load(env_file))
    run(cls.load(env_file))  # the finished one, as it is
    refs = [ref for ref in load_database(folder).values() if ref.fold != 10]
    for ref in refs:
        write_wfdb(ref.path, np.flip(read_record(ref.path).signal, axis=1))
    with pytest.raises(UserError, match=r"content of the ECGs was [0-9a-f]{16}, now [0-9a-f]{16}"):
        run(cls.load(env_file))

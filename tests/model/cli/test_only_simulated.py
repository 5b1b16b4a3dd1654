"""A model that has seen simulated patients only says so when it is asked about a real recording."""

import json
import shutil

import pytest

from cardiolect.data_provider.corpora.provenance import corpora_of
from cardiolect.data_provider.corpora.simulated_folder import in_simulated_corpus, only_simulated
from cardiolect.model.cli import commands as cli

QUESTION = "Does this ECG show atrial fibrillation?"
REAL = {"stage": "finetune", "name": "ptb-xl", "version": "1.0.3", "licence": "CC BY 4.0", "citation": "Wagner"}


@pytest.fixture
def elsewhere(record, tmp_path):
    """A recording outside the folder of a simulated corpus, as any real one is."""
    for suffix in (".hea", ".dat"):
        shutil.copy(f"{record}{suffix}", tmp_path)
    return str(tmp_path / record.rpartition("/")[2])


@pytest.fixture
def checkpoint(stock, tmp_path):
    """A function: a checkpoint that was trained on these corpora."""
    folder = shutil.copytree(stock, tmp_path / "llm")
    info = json.loads((folder / "cardiolect.json").read_text())

    def with_corpora(corpora: list[dict] | None) -> str:
        told = {} if corpora is None else {"corpora": corpora}
        (folder / "cardiolect.json").write_text(json.dumps({**info, **told}))
        return str(folder)

    return with_corpora


@pytest.fixture
def warned(tmp_path, capsys):
    def run(command: str, recording: str, folder: str, *more: str) -> int:
        given = {
            "ask": [QUESTION, "--max-new-tokens", "2"],
            "report": ["--max-new-tokens", "2"],
            "show": ["--out", str(tmp_path / "ecg.png"), "--question", QUESTION],
        }
        cli.main([command, recording, *given[command], "--checkpoint", folder, *more])
        return capsys.readouterr().err.count("trained on simulated patients only")

    return run


@pytest.mark.parametrize("command", ["ask", "report", "show"])
def test_a_real_recording_is_said_to_be_unlike_those_of_training(
    command, corpus, record, elsewhere, checkpoint, warned
):
    simulated = corpora_of([corpus], "tokenizer")
    assert warned(command, elsewhere, checkpoint(simulated)) == 1
    assert warned(command, record, checkpoint(simulated)) == 0
    assert warned(command, elsewhere, checkpoint([*simulated, REAL])) == 0
    assert warned(command, elsewhere, checkpoint(None)) == 0


def test_one_real_recording_of_two_is_enough(corpus, record, elsewhere, checkpoint, warned):
    folder = checkpoint(corpora_of([corpus], "tokenizer"))
    assert warned("ask", record, folder, "--second", elsewhere) == 1
    assert warned("ask", record, folder, "--second", record) == 0


def test_a_prepared_simulated_corpus_is_simulated_whatever_its_name(corpus, tmp_path):
    cli.main(["prepare", "simulated", "--source", str(corpus), "--out", str(tmp_path / "m"), "--name", "ward"])
    assert only_simulated(corpora_of([tmp_path / "m", corpus], "finetune"))
    assert not only_simulated([]) and not only_simulated([REAL])


def test_a_recording_is_simulated_by_the_folder_that_it_is_in(corpus, tmp_path):
    assert in_simulated_corpus(f"{corpus}/a.hdf5#3") and not in_simulated_corpus(f"{tmp_path}/a.hdf5#3")

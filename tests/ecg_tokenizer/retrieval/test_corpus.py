"""The index of a corpus: what is compared of long recordings, who is recognised, and what is no index."""

from dataclasses import replace

import numpy as np
import pytest

from cardiolect.data_provider.corpora.ptbxl_database import load_database
from cardiolect.data_provider.examples import RecordRef
from cardiolect.data_provider.readers import read_record
from cardiolect.data_provider.settings import DataSettings
from cardiolect.ecg_tokenizer.cached import prepare_corpus
from cardiolect.ecg_tokenizer.retrieval.corpus import find_neighbours, in_index, make_index, patient_of
from cardiolect.ecg_tokenizer.retrieval.index import Retrieval
from cardiolect.utils.errors import UserError
from tests.helpers.representations import LeadMeans
from tests.helpers.wfdb_records import write

HOW = Retrieval("embedding", 1, "report", seconds=4.0)


@pytest.fixture
def settings(tmp_path):
    return DataSettings(data_root=[tmp_path], cache_dir=tmp_path / "cache", output_dir=tmp_path / "out", workers=0)


@pytest.fixture(scope="module")
def several(corpus) -> list[RecordRef]:
    """Two recordings of each of three patients."""
    of: dict[str, list[RecordRef]] = {}
    for ref in load_database(corpus).values():
        of.setdefault(ref.patient_id, []).append(ref)
    return [ref for refs in [refs for refs in of.values() if len(refs) > 1][:3] for ref in refs[:2]]


def index_of(refs, settings, how=HOW, seconds=0.0):
    ecgs = prepare_corpus(LeadMeans(), refs, settings, seconds)
    return make_index(how, 60, {ref.record_id: f"on {ref.record_id}" for ref in refs}, refs, ecgs, settings), ecgs


@pytest.mark.parametrize("by", ["embedding", "measured"])
def test_the_same_seconds_are_compared_whatever_is_in_the_prompt(several, settings, by):
    how = replace(HOW, by=by)
    (whole, _), (cut, _), (shorter, _) = (index_of(several, settings, how, seconds) for seconds in (0.0, 4.0, 2.0))
    assert np.array_equal(whole.index.vectors, cut.index.vectors)
    assert np.array_equal(whole.index.vectors, shorter.index.vectors)
    other, _ = index_of(several, settings, replace(how, seconds=10.0))
    assert not np.array_equal(whole.index.vectors, other.index.vectors)


def test_a_patient_in_the_index_is_known_by_another_recording_a_file_or_a_signal(several, settings, tmp_path):
    made, _ = index_of(several[:3:2], settings)  # of two patients, one recording each
    signal = read_record(several[0]).signal
    write(tmp_path, 1.02 * signal[:, 500:4500], name="part")
    write(tmp_path, read_record(several[5]).signal, name="stranger")
    part, stranger = (RecordRef(name, tmp_path / name, f"patient of {name}") for name in ("part", "stranger"))
    again = RecordRef("another study", tmp_path / "stranger", part.patient_id)
    asked = [several[1], again, stranger, several[5]]
    assert in_index(made.index, asked, [*several, part]) == {several[1].record_id, "another study"}
    gone = RecordRef("9", tmp_path / "gone", several[0].patient_id, database=several[0].database)
    assert several[0].database and in_index(made.index, [gone], []) == {"9"}


def test_recordings_of_these_patients_get_neither_similar_nor_random_ones(several, settings, capsys):
    made, _ = index_of(several[:4], settings)
    ecgs = prepare_corpus(LeadMeans(), several, settings)
    find_neighbours(made.index, several, ecgs, settings, away={ref.record_id for ref in several[:4]})
    for of_all in (ecgs.neighbours, ecgs.random_neighbours):
        assert [len(of_all[ref.record_id]) for ref in several] == [0, 0, 0, 0, 1, 1]
    assert "4 of 6 recordings get no similar ones" in capsys.readouterr().out
    find_neighbours(made.index, several[:4], ecgs, settings, away={ref.record_id for ref in several})
    assert ecgs.neighbours == {ref.record_id: () for ref in several[:4]}, "an index without anything for them"


def test_training_draws_no_random_ones_and_says_how_many_have_fewer(several, settings, capsys, monkeypatch):
    made, ecgs = index_of(several[:4], settings, replace(HOW, neighbours=3))
    monkeypatch.setattr("cardiolect.ecg_tokenizer.retrieval.index.NeighbourIndex.at_random", None)
    find_neighbours(made.index, several[:4], ecgs, settings, made.numbers)
    assert all(len(each) == 2 for each in ecgs.neighbours.values())
    assert "4 of 4 recordings get fewer than 3 similar ones" in capsys.readouterr().out


def test_what_cannot_be_compared_is_one_line(several, settings, tmp_path):
    with pytest.raises(UserError, match="RETRIEVE=embedding: all training recordings with a text are of one patient"):
        index_of(several[:2], settings)
    for name in ("one", "two"):
        write(tmp_path, read_record(several[0]).signal, name=name)
    copies = [RecordRef(name, tmp_path / name) for name in ("one", "two")]
    assert len({patient_of(ref) for ref in copies}) == 2
    with pytest.raises(UserError, match="no feature differs between the 2 training recordings"):
        index_of(copies, settings)

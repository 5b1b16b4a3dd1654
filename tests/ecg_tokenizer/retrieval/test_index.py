"""The index finds the nearest recordings of other patients, and says nothing of whose they are."""

import json

import numpy as np
import pytest

from cardiolect.ecg_tokenizer.retrieval.index import NeighbourIndex, Retrieval
from cardiolect.ecg_tokenizer.retrieval.search import closest_rows
from cardiolect.utils.errors import UserError

COUNT, WIDTH = 200, 5


def table(seed: int = 0) -> tuple[np.ndarray, list[str], list[str]]:
    """Vectors, patients with four recordings each, and texts. The recordings of a patient lie close together."""
    rng = np.random.default_rng(seed)
    patients = [f"patient {k // 4}" for k in range(COUNT)]
    centres = np.repeat(rng.normal(size=(COUNT // 4, WIDTH)), 4, axis=0)
    vectors = (centres + 0.3 * rng.normal(size=(COUNT, WIDTH))) * [1, 10, 100, 1e-3, 1] + 7
    return vectors.astype(np.float32), patients, [f"report {k}" for k in range(COUNT)]


def made(number: int = 3) -> tuple[NeighbourIndex, dict[str, int], np.ndarray, list[str], list[str]]:
    vectors, patients, texts = table()
    index, numbers = NeighbourIndex.of(Retrieval("measured", number), vectors, patients, texts, ["patient:ab"])
    return index, numbers, vectors, patients, texts


def test_a_training_recording_never_finds_itself_or_its_patient():
    index, numbers, vectors, patients, texts = made()
    found = index.nearest(vectors, [numbers[patient] for patient in patients])
    for patient, similar in zip(patients, found, strict=True):
        assert len(similar) == 3
        assert patient not in {patients[texts.index(each.text)] for each in similar}
        assert [each.distance for each in similar] == sorted(each.distance for each in similar)


def test_another_recording_of_a_patient_in_the_index_finds_no_recording_of_this_patient():
    index, numbers, vectors, patients, texts = made()
    queries = vectors[::4] + np.float32([0.4, 0, 0, 0, 0])
    asked = [numbers[patient] for patient in patients[::4]]
    for patient, similar in zip(patients[::4], index.nearest(queries, asked), strict=True):
        assert patient not in {patients[texts.index(each.text)] for each in similar}
    own = [each[0].text for each in index.nearest(queries)]
    assert any(patients[texts.index(text)] == patient for text, patient in zip(own, patients[::4], strict=True))


def test_a_recording_whose_patient_is_not_told_is_known_by_its_vector():
    index, _, vectors, patients, texts = made()
    for k, similar in enumerate(index.nearest(vectors[:40])):
        assert patients[k] not in {patients[texts.index(each.text)] for each in similar}
        assert index.is_known(vectors[k])
    assert not index.is_known(vectors[0] + np.float32([0.5, 0, 0, 0, 0]))


def test_a_near_copy_is_taken_for_the_recording():
    index, _, vectors, patients, texts = made()
    copies = vectors + np.float32(0.05) * vectors.std(0) * np.random.default_rng(4).choice([-1, 1], vectors.shape)
    for k, similar in enumerate(index.nearest(copies[:40])):
        assert patients[k] not in {patients[texts.index(each.text)] for each in similar} and index.is_known(copies[k])
    for k, drawn in enumerate(index.at_random(copies[:40], [str(k) for k in range(40)], None, seed=1)):
        assert patients[k] not in {patients[texts.index(each.text)] for each in drawn}


def test_the_nearest_are_those_of_all_distances_in_standard_deviations():
    index, _, vectors, _, texts = made()
    query = vectors[11] + np.float32([0.4, 2, 5, 0, 0])
    standard = (vectors - vectors.mean(0)) / vectors.std(0)
    distance = np.sqrt((((query - vectors.mean(0)) / vectors.std(0) - standard) ** 2).mean(1))
    order = distance.argsort()[:3]
    (similar,) = index.nearest(query[None])
    assert [each.text for each in similar] == [texts[k] for k in order]
    assert [each.distance for each in similar] == pytest.approx(distance[order], abs=1e-3)


def test_what_could_not_be_measured_counts_as_the_mean():
    vectors, patients, texts = table()
    vectors[5, 2] = np.nan
    index, _ = NeighbourIndex.of(Retrieval("measured"), vectors, patients, texts)
    query = vectors[[20]].copy()
    query[0, 2] = np.nan
    (similar,) = index.nearest(query)
    assert np.isfinite(index.vectors).all() and np.isfinite(similar[0].distance)


def test_many_copies_of_the_query_leave_room_for_others():
    vectors, _, texts = table()
    vectors[:150] = vectors[0]
    index, _ = NeighbourIndex.of(Retrieval("measured", 3), vectors, [f"{k}" for k in range(COUNT)], texts)
    (similar,) = index.nearest(vectors[[0]])
    assert len(similar) == 3 and {texts.index(each.text) for each in similar} <= set(range(150, COUNT))


def test_fewer_are_found_if_there_are_fewer_patients():
    vectors, _, texts = table()
    index, numbers = NeighbourIndex.of(Retrieval("measured", 3), vectors[:6], list("aaabbb"), texts[:6])
    assert index.nearest(vectors[[0]], [numbers["a"]])[0] == index.nearest(vectors[[0]])[0]
    index, numbers = NeighbourIndex.of(Retrieval("measured", 3), vectors[:3], list("aaa"), texts[:3])
    assert index.nearest(vectors[[0]], [numbers["a"]]) == [()]


def test_random_ones_are_of_other_patients_and_follow_from_the_seed():
    index, numbers, vectors, patients, texts = made()
    asked = vectors[:50], [str(k) for k in range(50)], [numbers[patient] for patient in patients[:50]]
    drawn = index.at_random(*asked, seed=1)
    for patient, each in zip(patients, drawn, strict=False):
        assert len(each) == 3 and patient not in {patients[texts.index(one.text)] for one in each}
    assert drawn == index.at_random(*asked, seed=1) != index.at_random(*asked, seed=2)
    assert drawn != index.nearest(vectors[:50], asked[2])


def test_random_ones_are_found_if_most_recordings_are_of_the_same_patient():
    vectors, _, texts = table()
    patients = ["own"] * (COUNT - 4) + list("abcd")
    index, numbers = NeighbourIndex.of(Retrieval("measured", 3), vectors, patients, texts)
    drawn = index.at_random(vectors[:20], [str(k) for k in range(20)], [numbers["own"]] * 20, seed=1)
    assert all(len({each.text for each in one} & set(texts[-4:])) == 3 for one in drawn)


@pytest.mark.parametrize("rows", [1, 7, COUNT])
def test_the_search_in_blocks_finds_the_closest_rows(monkeypatch, rows):
    monkeypatch.setattr("cardiolect.ecg_tokenizer.retrieval.search._AT_ONCE", rows * COUNT)
    vectors = np.random.default_rng(1).normal(size=(COUNT, WIDTH)).astype(np.float32)
    found = closest_rows(vectors, vectors[:20], 6)
    distances = ((vectors[:20, None] - vectors) ** 2).sum(2)
    assert np.array_equal(np.sort(found, 1), np.sort(distances.argsort(1)[:, :6], 1))


def test_faiss_finds_the_same():
    pytest.importorskip("faiss")
    index, numbers, vectors, patients, _ = made()
    queries = vectors + np.float32(0.01) * np.random.default_rng(2).normal(size=vectors.shape).astype(np.float32)
    whose = [numbers[patient] for patient in patients]
    assert index.nearest(queries, whose, "faiss") == index.nearest(queries, whose, "numpy")


def test_a_saved_index_finds_the_same_and_names_nobody(tmp_path):
    index, _, vectors, _, _ = made()
    index.save_pretrained(tmp_path)
    loaded = NeighbourIndex.from_pretrained(tmp_path)
    assert loaded.nearest(vectors[:9]) == index.nearest(vectors[:9]) and loaded.retrieval == index.retrieval
    assert loaded.marks == {"patient:ab"}
    written = json.loads((tmp_path / "index.json").read_text())
    assert set(written) == {
        *("version", "by", "neighbours", "content", "place", "seconds", "recordings", "patients", "marks", "texts")
    }
    assert not any(b"patient " in path.read_bytes() for path in tmp_path.iterdir())


def test_the_order_of_the_index_does_not_follow_from_that_of_the_corpus(tmp_path):
    vectors, patients, texts = table()
    order = np.random.default_rng(3).permutation(COUNT)
    one, _ = NeighbourIndex.of(Retrieval("measured"), vectors, patients, texts)
    other, _ = NeighbourIndex.of(
        Retrieval("measured"), vectors[order], [patients[k] for k in order], [texts[k] for k in order]
    )
    assert np.array_equal(one.patient, other.patient) and one.texts == other.texts


@pytest.mark.parametrize("name", ["index.json", "index.safetensors"])
def test_a_damaged_index_is_one_line(tmp_path, name):
    made()[0].save_pretrained(tmp_path)
    (tmp_path / name).write_bytes(b"{")
    with pytest.raises(UserError, match="the index of similar recordings is missing or damaged"):
        NeighbourIndex.from_pretrained(tmp_path)


def test_an_index_of_other_vectors_is_one_line():
    index = made()[0]
    with pytest.raises(UserError, match="vectors of 5 features, not 4"):
        index.nearest(np.zeros((1, 4), np.float32))

"""Published corpora become manifests that training reads; nothing is copied and no patient crosses splits."""

import json
import re
import shutil
from pathlib import Path

import datasets
import h5py
import numpy as np
import pandas as pd
import pytest

from cardiolect.data_provider.corpora import code15
from cardiolect.data_provider.corpora.prepare import prepare
from cardiolect.data_provider.corpora.prepared import split_of_patient
from cardiolect.data_provider.corpora.provenance import corpora_of
from cardiolect.data_provider.manifest import load_corpus, load_records
from cardiolect.data_provider.readers import read_record
from cardiolect.data_provider.readers.formats import content_hash
from cardiolect.data_provider.settings import DataSettings
from cardiolect.data_provider.splits import find_database, load_splits
from cardiolect.utils.errors import UserError


@pytest.fixture(scope="module")
def mimic(corpus: Path, tmp_path_factory) -> Path:
    """Twelve simulated recordings of five patients in the layout of MIMIC-IV-ECG."""
    root = tmp_path_factory.mktemp("mimic")
    studies, statements = [], []
    for number, header in enumerate(sorted((corpus / "records500").rglob("*.hea"))[:12]):
        subject, study = 10_000_000 + number % 5, 40_000_000 + number
        folder = root / f"files/p{str(subject)[:4]}/p{subject}/s{study}"
        folder.mkdir(parents=True)
        shutil.copy(header.with_suffix(".dat"), folder)
        (folder / f"{study}.hea").write_text(header.read_text().replace(f"{header.stem} ", f"{study} ", 1))
        path = f"files/p{str(subject)[:4]}/p{subject}/s{study}/{study}"
        studies.append({"subject_id": subject, "study_id": study, "file_name": study, "ecg_time": "2100", "path": path})
        said = ["Sinus rhythm.", "Normal ECG"] if number else [None, None]
        statements.append({"subject_id": subject, "study_id": study, "report_0": said[0], "report_1": said[1]})
    studies.append({**studies[-1], "study_id": 49_999_999, "path": "files/p1000/p10000000/s49999999/49999999"})
    pd.DataFrame(studies).to_csv(root / "record_list.csv", index=False)
    pd.DataFrame(statements).to_csv(root / "machine_measurements.csv", index=False)
    return root


def settings(**values) -> DataSettings:
    return DataSettings(output_dir=Path("unused"), **values)


def test_ptbxl_keeps_its_folds_patients_and_reports(shared_data, tmp_path):
    done = prepare("ptb-xl", shared_data / "ptb-xl", tmp_path)
    assert (done.records, done.licence) == (488, "CC BY 4.0")
    records = load_records(tmp_path)
    splits = {split: [r for r, s in records.values() if s == split] for split in ("train", "valid", "test")}
    assert all(ref.fold == 10 for ref in splits["test"]) and all(ref.fold == 9 for ref in splits["valid"])
    assert len(splits["valid"]) + len(splits["test"]) == 144
    assert read_record(splits["test"][0]).signal.shape == (12, 5000)
    loaded = load_splits(settings(data_root=tmp_path), ("train", "valid", "test"), task="report")
    assert "sinusrhythmus" in loaded["train"].examples[0].answers[0].lower()
    both = load_splits(settings(data_root=tmp_path), ("test",), task=None)  # TASKTYPE=all
    assert list(both["test"].examples) == list(loaded["test"].examples) != []
    assert {e.record_ids[0] for e in loaded["test"].examples} <= {r.record_id for r in splits["test"]}


def test_published_texts_stand_in_the_split_of_their_recordings(shared_data, tmp_path):
    """By PTB-XL's folds or by ECG-QA's lists; a comparison across splits is left out and counted."""
    source, qa = shared_data / "ptb-xl", shared_data / "ecg-qa/ecgqa/ptbxl"
    paths = [qa / "template", shared_data / "heartllm-json/report/ptbxl"]
    by_list = prepare("ptb-xl", source, tmp_path / "list", paths, "CC BY 4.0", ecg_qa_splits=qa)
    assert "comparisons across splits" not in by_list.left_out
    texts = pd.read_parquet(tmp_path / "list/texts.parquet")
    asked = texts[texts["task"] == "qa"]
    assert len(asked) == 637 and asked["split"].value_counts().to_dict() == {"train": 579, "valid": 38, "test": 20}
    assert set(asked["licence"]) == {"CC BY 4.0"}
    reports = texts[texts["task"] == "report"]
    assert not reports["record_ids"].map(tuple).duplicated().any()  # an English report takes the German one's place
    (first,) = reports[reports["record_ids"].map(tuple) == ("1",)]["answers"]
    assert list(first) == ["sinus rhythm peripheral low voltage"]

    by_fold = prepare("ptb-xl", source, tmp_path / "fold", paths)
    split_of = {record_id: split for record_id, (_, split) in load_records(tmp_path / "fold").items()}
    texts = pd.read_parquet(tmp_path / "fold/texts.parquet")
    for ids, split in zip(texts["record_ids"], texts["split"], strict=True):
        assert {split_of[i] for i in ids} == {split}
    across = by_fold.left_out["comparisons across splits"]
    assert 0 < across == 637 - (texts["task"] == "qa").sum()


def test_derived_questions_are_marked_to_their_last_score(shared_data, tmp_path):
    prepare("ptb-xl", shared_data / "ptb-xl", tmp_path, derived_seed=1)
    examples = load_splits(settings(data_root=tmp_path), ("test",), task="qa")["test"].examples
    assert len(examples) > 100 and {e.provenance for e in examples} == {"derived"}
    with pytest.raises(UserError, match="needs PTB-XL's labels, which georgia does not have"):
        prepare("georgia", shared_data / "ptb-xl", tmp_path, derived_seed=1)


def test_mimic_is_split_by_patient_and_counts_what_it_leaves_out(mimic, tmp_path):
    done = prepare("mimic-iv-ecg", mimic, tmp_path)
    assert (done.records, done.texts) == (12, 11)
    assert done.left_out == {"empty reports": 1, "recordings that are not on disk": 1}
    by_patient = {}
    for ref, split in load_records(tmp_path).values():
        assert split == split_of_patient(ref.patient_id)
        assert by_patient.setdefault(ref.patient_id, split) == split
    texts = pd.read_parquet(tmp_path / "texts.parquet")
    assert list(texts["answers"][0]) == ["Sinus rhythm. Normal ECG."]
    assert set(texts["provenance"]) == {"published"} and set(texts["licence"]) == {"ODbL 1.0"}


def test_a_mimic_study_without_a_subject_is_in_no_split(mimic, tmp_path):
    source = tmp_path / "mimic"
    shutil.copytree(mimic, source)
    table = pd.read_csv(source / "record_list.csv", dtype=str)
    table.loc[1, "subject_id"] = None
    table.to_csv(source / "record_list.csv", index=False)
    done = prepare("mimic-iv-ecg", source, tmp_path / "out")
    assert done.records == 11 and done.left_out["recordings without a subject_id, which no split can have"] == 1


def test_hashed_splits_have_their_shares_and_stay_what_they_are():
    splits = [split_of_patient(str(10_000_000 + i)) for i in range(5000)]
    assert 0.08 < splits.count("test") / 5000 < 0.12 and 0.08 < splits.count("valid") / 5000 < 0.12
    assert [split_of_patient(str(i)) for i in range(10000032, 10000036)] == splits[32:36]


def test_folds_of_the_settings_win_over_the_manifests_splits(shared_data, tmp_path):
    prepare("ptb-xl", shared_data / "ptb-xl", tmp_path)
    chosen = settings(data_root=tmp_path, train_folds="1-7", valid_folds="8", max_train=50)
    loaded = load_splits(chosen, ("train", "valid"), task=None)
    assert len(loaded["train"].records) == 50 and {r.fold for r in loaded["valid"].records} == {8}


def test_a_manifest_knows_every_recording_of_its_patients(shared_data, tmp_path):
    """Evaluation looks there for other recordings of a patient that a stage has seen."""
    prepare("ptb-xl", shared_data / "ptb-xl", tmp_path)
    known = {i: (ref.path.resolve(), ref.patient_id) for i, ref in find_database(tmp_path).items()}
    official = find_database(shared_data / "ptb-xl")
    assert known == {i: (ref.path.resolve(), ref.patient_id) for i, ref in official.items()}


def test_the_tables_open_as_datasets(mimic, tmp_path):
    prepare("mimic-iv-ecg", mimic, tmp_path)
    for name, rows in (("records", 12), ("texts", 11)):
        table = datasets.Dataset.from_parquet(str(tmp_path / f"{name}.parquet"), cache_dir=str(tmp_path / "cache"))
        assert len(table) == rows


def test_a_missing_source_and_a_broken_manifest_are_one_line(mimic, tmp_path):
    for source, reason in ((tmp_path / "none", "no such folder"), (tmp_path, "record_list.csv: no such file")):
        with pytest.raises(UserError, match=reason):
            prepare("mimic-iv-ecg", source, tmp_path / "out")
    assert not (tmp_path / "out").exists()
    prepare("mimic-iv-ecg", mimic, tmp_path / "out")
    (tmp_path / "out/texts.parquet").write_bytes(b"PAR1 cut off")
    with pytest.raises(UserError, match=r"texts\.parquet: cannot be read"):
        load_splits(settings(data_root=tmp_path / "out"), ("train",), task="report")
    said = json.loads((tmp_path / "out/manifest.json").read_text())
    (tmp_path / "out/manifest.json").write_text(json.dumps({**said, "source": "/moved/away"}))
    with pytest.raises(UserError, match="its source /moved/away does not exist"):
        load_records(tmp_path / "out")
    (tmp_path / "out/manifest.json").write_text("{}")
    with pytest.raises(UserError, match="not a valid manifest"):
        load_corpus(tmp_path / "out")


def test_code15_refers_to_rows_of_its_parts_and_says_what_they_lack(shared_data, tmp_path):
    source = tmp_path / "code15"
    source.mkdir()
    signal = read_record(shared_data / "ptb-xl/records500/00000/00005_hr").signal.T.astype(np.float32)
    with h5py.File(source / "exams_part0.hdf5", "w") as file:
        file["tracings"] = np.stack([signal[:4000], 0.5 * signal[:4000]])
        file["exam_id"] = [11, 12]
    (source / "exams.csv").write_text(
        "exam_id,age,is_male,patient_id,trace_file\n11,63,True,7,exams_part0.hdf5\n12,50,False,8,exams_part0.hdf5\n"
        "13,50,False,8,exams_part0.hdf5\n14,50,False,8,exams_part1.hdf5\n"
    )
    with pytest.raises(UserError, match=r'layout\.json: no such file; .* Write into it: {"sampling_rate": 400'):
        prepare("code-15", source, tmp_path / "out")
    (source / "layout.json").write_text(code15.LAYOUT)
    done = prepare("code-15", source, tmp_path / "out")
    assert (done.records, sum(done.left_out.values())) == (2, 2)
    ref, _ = load_records(tmp_path / "out")["12"]
    record = read_record(ref)
    assert (record.fs, record.patient_id, ref.background) == (400, "8", "age 50, sex female")
    np.testing.assert_allclose(record.signal, 0.5 * signal[:4000].T, atol=1e-6)
    assert content_hash(ref.path) != content_hash(load_records(tmp_path / "out")["11"][0].path)


def test_cpsc_keeps_what_its_headers_say_and_splits_by_recording(shared_data, tmp_path):
    source = shared_data / "other/cpsc2018_extra"
    done = prepare("cpsc-2018-extra", source, tmp_path)
    assert (done.records, done.texts, done.left_out) == (10, 0, {})
    for ref, split in load_records(tmp_path).values():
        assert split == split_of_patient(ref.record_id) and "age" in ref.background and "sex" in ref.background
        assert read_record(ref).fs == 500


def test_two_recordings_of_one_name_and_headers_without_signals_are_counted(shared_data, tmp_path):
    source = tmp_path / "source"
    for folder in ("g1", "g2"):
        shutil.copytree(shared_data / "other/cpsc2018_extra", source / folder)
    next((source / "g1").glob("*.mat")).unlink()
    done = prepare("georgia", source, tmp_path / "out")
    assert done.records == 10
    assert done.left_out == {"headers without a signal file": 1, "recordings whose name occurs twice": 9}


def test_what_is_known_of_a_corpus_is_told_and_what_is_not_is_unknown(corpus, shared_data, tmp_path):
    prepare("simulated", corpus, tmp_path / "manifest")
    roots = [tmp_path / "manifest", corpus, shared_data / "ptb-xl"]
    told = [tuple(each.values()) for each in corpora_of(roots, "pretrain")]
    assert [(stage, name, licence) for stage, name, _, licence, _ in told] == [
        ("pretrain", "simulated", "MIT"),
        ("pretrain", "corpus (seed 3)", "MIT"),
        ("pretrain", "ptb-xl", "unknown"),
    ]
    assert "/" not in "".join(map("".join, told))


def test_tables_that_windows_wrote(shared_data, tmp_path):
    """A byte-order mark and backslashes, as Excel saves them."""
    table = pd.read_csv(shared_data / "ptb-xl/ptbxl_database.csv", dtype=str).head(3)
    table["filename_hr"] = table["filename_hr"].str.replace("/", "\\")
    table.to_csv(tmp_path / "ptbxl_database.csv", index=False, encoding="utf-8-sig", lineterminator="\r\n")
    (tmp_path / "records500").symlink_to(shared_data / "ptb-xl/records500")
    assert prepare("ptb-xl", tmp_path, tmp_path / "out").records == 3
    (tmp_path / "mimic").mkdir()
    (tmp_path / "mimic/machine_measurements.csv").write_bytes(b"\xef\xbb\xbfstudy_id,report_0\r\n5,Sinus\r\n")
    (tmp_path / "mimic/record_list.csv").write_bytes(b"\xef\xbb\xbfsubject_id,study_id,path\r\n1,5,p1\\p1\\s5\\5\r\n")
    (tmp_path / "mimic/p1/p1/s5").mkdir(parents=True)
    (tmp_path / "mimic/p1/p1/s5/5.hea").touch()
    assert prepare("mimic-iv-ecg", tmp_path / "mimic", tmp_path / "out2").texts == 1


def test_a_challenge_header_names_its_signals_and_its_patient(shared_data, tmp_path):
    """Blank ages do not swallow the sex, and a signal file without a suffix is one."""
    source = shared_data / "other/cpsc2018_extra"
    names = sorted(header.stem for header in source.glob("*.hea"))[:4]
    for name in names:
        text = (source / f"{name}.hea").read_text()
        (tmp_path / f"{name}.hea").write_text(re.sub("(?m)^#.*\n?", "", text) + "# Age:\n# Sex: Male\n#Age: 8 months\n")
        shutil.copy(source / f"{name}.mat", tmp_path)
    first = tmp_path / f"{names[0]}.hea"
    first.write_text(first.read_text().replace(".mat", ""))
    (tmp_path / f"{names[1]}.mat").unlink()
    (tmp_path / f"{names[2]}.hea").write_text("rec/2 12 500 1000\nrec_1 500\nrec_2 500\n")
    done = prepare("georgia", tmp_path, tmp_path / "out")
    assert done.left_out == {"headers without a signal file": 1, "multi-segment records": 1}
    records = [ref for ref, _ in load_records(tmp_path / "out").values()]
    assert [ref.background for ref in records] == ["sex male"] * 2 and read_record(records[0]).fs == 500


def test_your_own_recordings_are_called_by_their_paths(shared_data, tmp_path, capsys):
    """Two of one name in two folders stay apart, and nothing is claimed about licence and citation."""
    for name in ("visit1", "ward/visit1", "ward/visit3"):
        (tmp_path / "source/ward").mkdir(parents=True, exist_ok=True)
        text = (shared_data / "ptb-xl/records500/00000/00001_hr.hea").read_text()
        header = tmp_path / f"source/{name}.hea"
        header.write_text(text.replace("00001_hr", header.stem))
        shutil.copy(shared_data / "ptb-xl/records500/00000/00001_hr.dat", header.with_suffix(".dat"))
    asked = {"question": "AF?", "answer": ["no"], "question_type": "single-verfy"}
    texts = [{"ecg_id": name} | asked for name in ("visit1", "ward/visit1", "visit3", "ward/visit3")]
    (tmp_path / "texts.json").write_text(json.dumps(texts))
    done = prepare("own", tmp_path / "source", tmp_path / "out", [tmp_path / "texts.json"])
    assert (done.records, done.texts, done.database, done.licence, done.version, done.citation) == (
        *(3, 3, "own", "unknown"),
        *("", ""),
    )
    said = capsys.readouterr().out
    assert "no recording is called visit3; those of the corpus are called visit1, ward/visit1, ward/visit3" in said
    assert "question_type single-verfy (3) has no scores of its own; did you mean single-verify?" in said
    (tmp_path / "texts.json").write_text(json.dumps(texts[2:3]))
    with pytest.raises(UserError, match=r"texts\.json: no recording is called visit3; those of the corpus"):
        prepare("own", tmp_path / "source", tmp_path / "none", [tmp_path / "texts.json"])
    assert not (tmp_path / "none").exists()

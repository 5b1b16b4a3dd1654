"""Any readable file becomes WFDB, CSV, EDF or DICOM that other software reads alike, or one line says why not."""

import json
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pydicom
import pyedflib
import pytest
import wfdb
from pydicom.data import get_testdata_file

from cardiolect.data_provider.readers import convert as command
from cardiolect.data_provider.readers import read_record
from cardiolect.data_provider.readers.convert import TARGETS, convert, main
from cardiolect.data_provider.record import LEADS
from cardiolect.utils.errors import UserError
from tests.helpers.wfdb_records import twelve_leads
from tests.helpers.wfdb_records import write as write_record

SUFFIXES = {to: target.suffixes[0] for to, target in TARGETS.items()}


def source_of(folder: Path, signal: np.ndarray, leads=LEADS, fs=500.0, unit="mV") -> Path:
    """An NPZ file, in float64."""
    folder.mkdir(parents=True, exist_ok=True)
    np.savez(folder / "ecg.npz", signal=signal, fs=fs, leads=list(leads), unit=unit)
    return folder / "ecg.npz"


def by_other_software(path: Path) -> dict[str, np.ndarray]:
    """Lead -> mV, as read without this project."""
    if path.suffix == ".hea":
        record = wfdb.rdrecord(str(path.with_suffix("")))
        return dict(zip(record.sig_name, record.p_signal.T, strict=True))
    if path.suffix == ".csv":
        table = pd.read_csv(path, index_col="time [s]")
        return {name.removesuffix(" [mV]"): column.to_numpy() for name, column in table.items()}
    if path.suffix == ".edf":
        with pyedflib.EdfReader(str(path)) as file:
            return {
                file.getLabel(i).removeprefix("ECG "): file.readSignal(i) / 1000 for i in range(file.signals_in_file)
            }
    dataset = pydicom.dcmread(path)
    names = [channel.ChannelLabel for channel in dataset.WaveformSequence[0].ChannelDefinitionSequence]
    return dict(zip(names, dataset.waveform_array(0).T / 1000, strict=True))


@pytest.mark.parametrize("to", TARGETS)
def test_a_real_recording_comes_back_in_other_software(shared_data, tmp_path, to):
    source, out = shared_data / "ptb-xl/records500/00000/00005_hr", tmp_path / f"new/ecg{SUFFIXES[to]}"
    line = convert(source, out, to)
    assert "12 leads, 10 s at 500 Hz" in line and "largest difference 0 uV" in line
    signal = read_record(source).signal
    for lead, values in by_other_software(out).items():
        np.testing.assert_allclose(values, signal[LEADS.index(lead)], atol=1e-6)
    assert sorted(each.name for each in out.parent.iterdir()) == sorted(f"ecg{s}" for s in TARGETS[to].suffixes)


@pytest.mark.parametrize("to", TARGETS)
@pytest.mark.parametrize("step_uv", [2.5, 4.88, 0.5, 1000 / 4096 * 10])
def test_the_steps_of_the_file_are_kept_and_computed_leads_are_exact(tmp_path, to, step_uv):
    leads = ["I", "II", *LEADS[6:]]
    digital = np.round(twelve_leads(2000) * 1000 / step_uv).astype(int)[[LEADS.index(lead) for lead in leads]]
    wfdb.wrsamp(
        "rec",
        500,
        ["uV"] * 8,
        leads,
        d_signal=digital.T,
        fmt=["16"] * 8,
        adc_gain=[1 / step_uv] * 8,
        baseline=[0] * 8,
        write_dir=str(tmp_path),
    )
    line = convert(tmp_path / "rec", tmp_path / f"out{SUFFIXES[to]}", to)
    assert "computed from other limb leads: III, aVR, aVL, aVF" in line
    difference = float(line.partition("largest difference ")[2].split()[0])
    assert difference < 0.01


@pytest.mark.parametrize("to", TARGETS)
@pytest.mark.parametrize(("fs", "n_samples"), [(500, 4999), (257.3, 2573), (100, 1000), (1000, 20_000), (333.25, 3001)])
def test_rates_and_lengths_survive(tmp_path, to, fs, n_samples):
    signal = twelve_leads(n_samples, fs)
    out = tmp_path / f"out{SUFFIXES[to]}"
    line = convert(source_of(tmp_path, signal, fs=fs), out, to)
    back = read_record(out)
    assert back.fs == pytest.approx(fs, rel=1e-6) and back.signal.shape == signal.shape
    np.testing.assert_allclose(back.signal, signal, atol=0.000501)  # half of 1 uV
    assert ("beyond the limits of 12-lead" in line) == (to == "dicom" and (fs < 200 or n_samples > 16_384))


@pytest.mark.parametrize("to", TARGETS)
def test_gaps_and_absent_leads_are_kept_or_said(tmp_path, to):
    signal = twelve_leads()
    signal[1, 1000:1050] = np.nan  # 0.1 s
    signal[6, 2000:2500] = np.nan  # 1 s
    signal[3] = np.nan  # aVR, which would be computed if it were left out
    out = tmp_path / f"out{SUFFIXES[to]}"
    source = source_of(tmp_path, signal[:10], LEADS[:10])
    line, back, before = convert(source, out, to), read_record(out), read_record(source)
    assert "not recorded: aVR, V5, V6" in line and "550 samples without a value" in line
    assert back.lead_present.tolist() == before.lead_present.tolist()
    lost = {"edf": "EDF cannot mark samples without a value", "dicom": "gaps shorter than 0.2 s are bridged"}
    if to in lost:
        assert lost[to] in line
    else:
        assert (back.good == before.good).all() and "0 now look like signal" in line
    if to == "dicom":
        assert not back.good[6, 2000:2500].any() and back.good[1, 1000:1050].all()
    np.testing.assert_allclose(back.signal[before.good], before.signal[before.good], atol=0.000501)


@pytest.mark.parametrize("to", TARGETS)
def test_a_range_beyond_16_bits_takes_more_bits_or_coarser_steps_and_says_so(tmp_path, to):
    signal = twelve_leads()
    signal[6:] += 42 * np.sin(2 * np.pi * 0.1 * np.arange(5000) / 500)  # a drift
    line = convert(source_of(tmp_path, signal, LEADS), tmp_path / f"out{SUFFIXES[to]}", to)
    assert ("its range needs steps of 1.5 uV" in line) == (to in ("edf", "dicom"))
    offset_only = convert(source_of(tmp_path / "b", twelve_leads() + 40.0), tmp_path / f"b/out{SUFFIXES[to]}", to)
    assert "range needs" not in offset_only


@pytest.mark.parametrize("to", TARGETS)
def test_nothing_of_the_patient_is_written(tmp_path, to):
    dataset = pydicom.dcmread(get_testdata_file("waveform_ecg.dcm"))
    dataset.PatientName, dataset.PatientID, dataset.PatientBirthDate = "Secret^Jane", "4711-77", "19561224"
    dataset.PatientSex, dataset.PatientAge, dataset.AcquisitionDateTime = "F", "056Y", "20240131101112"
    dataset.InstitutionName = "Hidden Hospital"
    dataset.save_as(tmp_path / "in.dcm")
    convert(tmp_path / "in.dcm", tmp_path / f"out/ecg{SUFFIXES[to]}", to)
    written = b"".join(file.read_bytes() for file in (tmp_path / "out").iterdir())
    for secret in (b"Secret", b"4711", b"1956", b"056Y", b"2024", b"Hidden", b"in.dcm", str(tmp_path).encode()):
        assert secret not in written
    if to == "dicom":
        made = pydicom.dcmread(tmp_path / "out/ecg.dcm")
        assert str(made.PatientName) == "" and made.PatientID == "ANONYMOUS" and made.PatientSex == ""
        assert made.SOPClassUID.name == "12-lead ECG Waveform Storage"


def test_headers_of_wfdb_lose_their_comments(shared_data, tmp_path):
    convert(shared_data / "other/cpsc2018_extra/Q0001", tmp_path / "ecg.hea", "wfdb")
    assert "#" not in (tmp_path / "ecg.hea").read_text()


def test_nothing_is_overwritten_without_force(shared_data, tmp_path, capsys):
    source, out = str(shared_data / "ptb-xl/records500/00000/00005_hr"), tmp_path / "ecg.hea"
    (tmp_path / "ecg.dat").write_text("precious")
    with pytest.raises(UserError, match=r"ecg\.dat exists; give another name, or --force"):
        main([source, str(out)])
    assert (tmp_path / "ecg.dat").read_text() == "precious" and not out.exists()
    main([source, str(out), "--force"])
    assert capsys.readouterr().out.startswith(f"{out}: 12 leads, 10 s") and read_record(out).seconds == 10
    with pytest.raises(UserError, match=r"ecg\.hea is a file of the recording to convert"):
        main([str(tmp_path / "ecg"), str(out), "--force"])


@pytest.mark.parametrize(
    ("out", "says"),
    [
        (["ecg.txt"], r"must end in one of \.hea \(wfdb\), \.csv \(csv\)"),
        (["ecg"], "must end in one of"),
        ([".edf"], "must end in one of"),
        (["."], "is a folder; give --to"),
        (["a b.hea"], "no name for a WFDB record"),
        (["rec.hea", "--to", "csv"], "is a file; with --to, give a folder"),
        (["rec.hea/x.csv"], "OUT .* cannot be made a folder"),
    ],
)
def test_wrong_outputs_are_one_line(tmp_path, out, says):
    write_record(tmp_path, twelve_leads())
    with pytest.raises(UserError, match=says) as caught:
        main([str(tmp_path / "rec"), str(tmp_path / out[0]), *out[1:]])
    assert "\n" not in str(caught.value)
    assert sorted(each.name for each in tmp_path.iterdir()) == ["rec.dat", "rec.hea"]


@pytest.mark.parametrize("out", ["/proc/x.edf", "/sys/x.csv", "/proc/new/x.hea", "/sys/new/x.dcm"])
def test_a_folder_that_cannot_be_written_to_is_one_line(out, shared_data, tmp_path):
    with pytest.raises(UserError, match=rf"^OUT {Path(out).parent}\S* cannot be (written to|made a folder)") as caught:
        main([str(shared_data / "ptb-xl/records500/00000/00005_hr"), out])
    assert "\n" not in str(caught.value)


def test_a_disk_that_fails_midway_leaves_nothing(tmp_path, monkeypatch):
    def full(folder, name, ecg):
        (folder / f"{name}.edf").write_bytes(b"half")
        raise OSError(28, "No space left on device")

    (tmp_path / "in").mkdir()
    monkeypatch.setitem(command.TARGETS, "edf", command.Target(full, (".edf",)))
    with pytest.raises(UserError, match=r"^OUT .*new/a/x\.edf cannot be written to \(No space left on device\)$"):
        main([str(write_record(tmp_path / "in", twelve_leads())), str(tmp_path / "new/a/x.edf")])
    assert [each.name for each in tmp_path.iterdir()] == ["in"]


def test_a_name_that_is_refused_leaves_no_folder(tmp_path):
    (tmp_path / "in").mkdir()
    with pytest.raises(UserError, match="no name for a WFDB record"):
        main([str(write_record(tmp_path / "in", twelve_leads())), str(tmp_path / "new dir/Müller ö.hea")])
    assert [each.name for each in tmp_path.iterdir()] == ["in"]


def test_names_that_had_to_be_changed_are_said(tmp_path, capsys):
    source_of(tmp_path / "in", twelve_leads())
    shutil.move(tmp_path / "in/ecg.npz", tmp_path / "in/EKG Müller (2).npz")
    source_of(tmp_path / "in", twelve_leads())
    main([str(tmp_path / "in"), str(tmp_path / "out"), "--to", "csv"])
    first, second, _ = capsys.readouterr().out.splitlines()
    assert "EKG_M_ller__2_.csv: " in first and first.endswith("; its name was EKG Müller (2)")
    assert "its name was" not in second


def test_a_csv_file_that_is_sent_alone_reads_back_the_same(tmp_path):
    convert(source_of(tmp_path / "in", twelve_leads()), tmp_path / "out/ecg.csv", "csv")
    assert (tmp_path / "out/ecg.csv").read_text().startswith("time [s],I [mV],II [mV],III [mV],aVR [mV]")
    assert [each.name for each in (tmp_path / "out").iterdir()] == ["ecg.csv"]
    back = read_record(tmp_path / "out/ecg.csv")
    assert back.fs == 500 and np.abs(back.signal - twelve_leads()).max() < 0.000501


def test_a_layout_that_contradicts_the_csv_file_to_be_written_is_refused(tmp_path):
    (tmp_path / "out").mkdir()
    layout = tmp_path / "out/layout.json"
    layout.write_text('{"sampling_rate": 400, "unit": "mV"}')
    source = source_of(tmp_path / "in", twelve_leads())
    with pytest.raises(UserError, match="and the layout next to it states 400 Hz; correct one"):
        convert(source, tmp_path / "out/ecg.csv", "csv")
    assert list((tmp_path / "out").iterdir()) == [layout]
    layout.write_text('{"sampling_rate": 500, "unit": "mV"}')
    convert(source, tmp_path / "out/ecg.csv", "csv")


def test_what_does_not_read_back_leaves_no_file(tmp_path, monkeypatch):
    def flawed(folder, name, ecg):
        ecg.leads["V3"].samples[100] += 3
        return TARGETS["csv"].write(folder, name, ecg)

    (tmp_path / "in").mkdir()
    monkeypatch.setitem(command.TARGETS, "edf", command.Target(flawed, (".csv",)))
    with pytest.raises(UserError, match=r"written as edf differs by 0.75 uV in lead V3"):
        convert(write_record(tmp_path / "in", twelve_leads()), tmp_path / "out/ecg.csv", "edf")
    assert not (tmp_path / "out").exists()


def test_a_folder_is_converted_with_a_line_for_each_failure(shared_data, tmp_path, capsys):
    source, out = tmp_path / "in", tmp_path / "out"
    source_of(source / "a", twelve_leads())
    shutil.copy(source / "a/ecg.npz", source / "a/two words.npz")
    write_record(source / "a", twelve_leads(), name="ecg")
    shutil.copy(shared_data / "other/cpsc2018_extra/Q0001.hea", source)
    shutil.copy(shared_data / "other/cpsc2018_extra/Q0001.mat", source)
    (source / "broken.dcm").write_bytes(b"nothing")
    (source / "notes.doc").write_text("no ECG")
    with pytest.raises(UserError, match="1 of 5 recordings could not be converted"):
        main([str(source), str(out), "--to", "edf"])
    said = capsys.readouterr()
    assert said.err.count("\n") == 1 and "[5/5] error: record" in said.err and "broken.dcm" in said.err
    assert "4 of 5 recordings converted" in said.out
    names = sorted(str(file.relative_to(out)) for file in out.rglob("*.*"))
    assert names == ["Q0001.edf", "a/ecg_hea.edf", "a/ecg_npz.edf", "a/two_words.edf"]
    with pytest.raises(UserError, match="5 of 5"):
        main([str(source), str(out), "--to", "edf"])
    with pytest.raises(UserError, match="inside IN"):
        main([str(source), str(source / "out"), "--to", "edf"])
    with pytest.raises(UserError, match="OUT must be a folder too"):
        main([str(source), str(tmp_path / "ecg.edf")])
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match="contains no ECG file"):
        main([str(tmp_path / "empty"), str(out), "--to", "csv"])


def test_a_folder_of_files_named_by_uids_and_of_notes_is_converted(shared_data, tmp_path, capsys):
    source, out = tmp_path / "in", tmp_path / "out"
    source.mkdir()
    for name in ("1.2.840.5", "1.2.840.6", "scan"):
        shutil.copy(shared_data / "files/ecgplot_anonymous.dcm", source / name)
    (source / "README.txt").write_text("Recorded at rest.\n")
    (source / "patients.csv").write_text("id,age\n1,60\n2,70\n")
    main([str(source), str(out), "--to", "csv"])
    said = capsys.readouterr()
    assert "3 of 3 recordings converted" in said.out and "2 files without an ECG left out" in said.out
    assert "left out: record" in said.err and "README.txt" in said.err and "patients.csv" in said.err
    assert sorted(file.name for file in out.glob("*.csv")) == ["1_2_840_5.csv", "1_2_840_6.csv", "scan.csv"]


def test_every_recording_of_an_hdf5_file_is_converted(tmp_path, capsys):
    import h5py

    (tmp_path / "in").mkdir()
    with h5py.File(tmp_path / "in/exams.hdf5", "w") as file:
        file["tracings"] = np.stack([twelve_leads(1000).T, twelve_leads(1000).T / 2])
        file["exam_id"] = [17, 42]
    layout = {"sampling_rate": 500, "unit": "mV", "leads": list(LEADS)}
    (tmp_path / "in/layout.json").write_text(json.dumps(layout))
    main([str(tmp_path / "in"), str(tmp_path / "out"), "--to", "wfdb"])
    np.testing.assert_allclose(read_record(tmp_path / "out/exams/42").signal, twelve_leads(1000) / 2, atol=0.000501)
    main([str(tmp_path / "in/exams.hdf5#17"), str(tmp_path / "one"), "--to", "dicom"])
    assert read_record(tmp_path / "one/17.dcm").seconds == 2

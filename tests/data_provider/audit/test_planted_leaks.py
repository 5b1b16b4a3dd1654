"""A recording of one split that was planted into another is a leak, however its file was written."""

import numpy as np
import pytest
import wfdb

from cardiolect.data_provider.audit.__main__ import audit
from cardiolect.data_provider.audit.leakage import Placed, leaks
from cardiolect.data_provider.audit.seen import load_seen, save_seen, seen_again
from cardiolect.data_provider.examples import RecordRef
from cardiolect.data_provider.manifest import Corpus, Record, Text, write_manifest
from cardiolect.data_provider.record import LEADS, resample
from cardiolect.data_provider.simulator.patients import draw_patient
from cardiolect.data_provider.simulator.render import simulate
from tests.helpers.wfdb_records import write

PLAIN = {"fs": 500, "names": LEADS, "gain": 1000.0}


def planted(folder, change=lambda x: x, patient="B", reports=("Sinus rhythm.", "Sinus rhythm."), **written):
    """What the audit names if a recording is in train and a changed one in test."""
    signal = simulate(3, 0, draw_patient(3, 0, 1))[1].astype(float)
    for name, values, how in (("a", signal, PLAIN), ("b", change(signal), {**PLAIN, **written})):
        wfdb.wrsamp(
            name,
            fs=how["fs"],
            units=["mV"] * 12,
            sig_name=list(how["names"]),
            p_signal=values.T,
            fmt=["16"] * 12,
            adc_gain=[how["gain"]] * 12,
            baseline=[0] * 12,
            write_dir=str(folder),
        )
    records = [Record("a", "a", "A", "train"), Record("b", "b", patient, "test")]
    texts = [
        Text(f"{split}/{name}", (name,), "report", "", (report,), split=split)
        for name, split, report in zip("ab", ("train", "test"), reports, strict=True)
    ]
    write_manifest(folder / "m", Corpus("c", "1", "CC BY 4.0", "", str(folder), 2, 2, {}, "c"), records, texts)
    found = audit([folder / "m"], workers=0)
    return found["leaks"], found["duplicates"]


@pytest.mark.parametrize(
    ("change", "written"),
    [
        (lambda x: x, {}),
        (lambda x: x, {"gain": 200.0}),
        (lambda x: x[::-1], {"names": LEADS[::-1]}),
        (lambda x: resample(x, 500, 250), {"fs": 250}),
        (lambda x: 1.02 * x[:, 1:] + 0.01, {}),
    ],
    ids=["copied", "another resolution", "another order of leads", "another rate", "gain, offset and start"],
)
def test_a_planted_copy_of_another_patient_is_a_leak(change, written, tmp_path):
    found, duplicates = planted(tmp_path, change, **written)
    assert len(found) == 1 and found[0].startswith("1 signal is in more than one split") and len(duplicates) == 1


def test_another_recording_of_a_patient_is_a_leak_and_of_a_stranger_is_none(tmp_path):
    backwards = {"change": lambda x: x[:, ::-1]}
    found, duplicates = planted(tmp_path, patient="A", **backwards)
    assert len(found) == 1 and found[0].startswith("1 patient is in more than one split") and not duplicates
    assert planted(tmp_path, patient="B", **backwards) == ([], [])


def test_a_long_report_of_two_people_is_a_leak_though_their_signals_differ(tmp_path):
    text = "A long free report that no two people write alike, 12 words and more."
    found, _ = planted(tmp_path, lambda x: x[:, ::-1], reports=(text, text))
    assert len(found) == 1 and "report" in found[0]


def test_manifests_whose_names_suggest_one_database_share_its_patients():
    """They were written before manifests named their database."""
    one, other = Placed("ptb-xl", "352", "20919", "test", "x"), Placed("ptb-xl-more", "1701", "20919", "train", "y")
    (line,) = leaks([one, other])
    assert "ptb-xl/352 (test)" in line and "ptb-xl-more/1701 (train)" in line
    assert leaks([one, Placed("georgia", "1701", "20919", "train", "y")]) == []


def test_a_renamed_or_thinned_copy_is_seen_though_it_has_no_beats(tmp_path):
    signal = np.random.default_rng(0).normal(0, 0.3, (12, 5000))
    write(tmp_path, signal, name="train")
    write(tmp_path, signal, name="copy")
    write(tmp_path, signal[:, ::5], fs=100, name="low")
    write(tmp_path, np.random.default_rng(1).normal(0, 0.3, (12, 5000)), name="stranger")
    save_seen(tmp_path, [RecordRef("train", tmp_path / "train")])
    asked = [RecordRef(name, tmp_path / name) for name in ("copy", "low", "stranger")]
    assert seen_again(asked, [], load_seen(tmp_path)) == {"copy", "low"}

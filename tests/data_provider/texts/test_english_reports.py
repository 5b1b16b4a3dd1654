"""German and Swedish reports in English: what is stated stays the same, and where it comes from is kept."""

import json

import pandas as pd
import pytest

from cardiolect.data_provider.corpora.prepare import prepare
from cardiolect.data_provider.manifest import load_records
from cardiolect.data_provider.texts.english_phrases import PHRASES
from cardiolect.data_provider.texts.english_reports import render
from cardiolect.utils.errors import UserError
from cardiolect.utils.metrics.statements import extract
from cardiolect.utils.metrics.statements.__main__ import labelled_reports
from cardiolect.utils.metrics.statements.codes import CODES


@pytest.mark.parametrize(
    ("report", "language", "english"),
    [
        (
            "sinusrhythmus linkstyp qrs(t) abnorm anteriorer infarkt wahrscheinlich alt t abnorm in anterioren "
            "ableitungen lateralen ableitungen 4.46 unbestätigter bericht",
            "German",
            "Sinus rhythm. Left axis. Abnormal QRS-T. Anterior infarct, probably old. T wave abnormality in anterior "
            "and lateral leads.",
        ),
        (
            "tachykardes vorhofflimmern st & t abnorm, wahrscheinlich hochlaterale ischämie oder linksbelastung",
            "German",
            "Atrial fibrillation with rapid ventricular response. Possible high lateral ischemia or left ventricular "
            "strain.",
        ),
        ("qrs(t) abnorm septaler infarkt möglich akut", "German", "Abnormal QRS-T. Possible septal infarct, acute."),
        ("sinusrhythmus sonst normales ekg", "German", "Sinus rhythm. Otherwise normal ECG."),
        ("st-senkung in v4-v6, avl", "German", "ST depression in V4-V6, aVL."),
        ("kein vorhofflimmern, v.a. lsb", "German", "No atrial fibrillation. Possible left bundle branch block."),
        (
            "sinusrytm vÄnster el-axel inferior infarkt Ålder ej bestÄmd",
            "Swedish",
            "Sinus rhythm. Left axis. Inferior infarct, age undetermined.",
        ),
        ("normales ekg bis auf ves", "German", "Normal ECG except for ventricular premature complexes."),
        ("normalt ekg förutom vänster el-axel", "Swedish", "Normal ECG except for left axis."),
        ("sinusrytm, ej säker infarkt", "Swedish", "Sinus rhythm. No definite myocardial infarct."),
        ("keine sicheren zeichen einer linkshypertrophie", "German", "No definite left ventricular hypertrophy."),
        ("av-block i. oder sinusbradykardie", "German", "First degree AV block or sinus bradycardia."),
        ("av-block II. grades typ wenckebach", "German", "Second degree AV block, Wenckebach type."),
        ("sinus rhythm. normal ecg.", "English", "sinus rhythm. normal ecg."),
    ],
)
def test_renderings_keep_order_doubt_walls_and_ages(report, language, english):
    found = render(report)
    assert (found.language, found.text) == (language, english)


def test_unknown_words_are_left_out_and_named():
    assert render("sinusrhythmus u-welle in v2")[2] == ("u welle in v2",)


def test_every_code_has_a_phrase_that_reads_back():
    assert PHRASES.keys() == CODES
    for code, phrase in PHRASES.items():
        assert extract(phrase) == {code: "present"}, phrase
        if code != "NORM":
            assert extract(f"Possible {phrase}.") == {code: "possible"}
            assert extract(f"No {phrase}.") == {code: "absent"}


def test_renderings_state_what_the_report_states(shared_data):
    rows = labelled_reports(shared_data / "ptb-xl-labels/ptbxl_database.csv", set(range(1, 9)))[::7]
    differ = [report for _, report, _ in rows if extract(report) != extract(render(report).text)]
    assert len(differ) <= 1, differ[:3]


def test_a_prepared_corpus_keeps_the_reports_it_rendered(shared_data, tmp_path):
    prepare("ptb-xl", shared_data / "ptb-xl", tmp_path, english=True)
    texts = pd.read_parquet(tmp_path / "texts.parquet").set_index("sample_id")
    lines = [json.loads(line) for line in (tmp_path / "renderings.jsonl").read_text(encoding="utf-8").splitlines()]
    assert len(lines) > 300
    for line in lines:
        text = texts.loc[line["sample_id"]]
        assert text.provenance == f"rendered from {line['language']}"
        assert list(text.answers) == [line["rendering"]] != [line["report"]]
    assert set(texts.provenance) == {"published", "rendered from German", "rendered from Swedish"}
    assert len(load_records(tmp_path)) == 488


def test_only_ptbxl_is_rendered(tmp_path):
    with pytest.raises(UserError, match="--english-reports"):
        prepare("simulated", tmp_path, tmp_path / "out", english=True)

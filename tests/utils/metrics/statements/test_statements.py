"""Reports compared by what they state: extraction of statements, its cues, and the scores over them."""

import json
import subprocess
import sys

import pandas as pd
import pytest

from cardiolect.data_provider.ecgqa.findings import ABNORMAL, AXES, ECTOPIES, NAMES, NOISES, NORMAL, TERRITORIES
from cardiolect.data_provider.texts.lexicon import LEXICON, VARIED_LEXICON
from cardiolect.utils.errors import UserError
from cardiolect.utils.metrics import bootstrap_score
from cardiolect.utils.metrics.statements import content_scores, content_table, extract
from cardiolect.utils.metrics.statements.__main__ import agreement, labelled_reports
from cardiolect.utils.metrics.statements.codes import AXES as AXIS_CODES
from cardiolect.utils.metrics.statements.codes import CODES, SCP_CODES
from cardiolect.utils.metrics.statements.extraction import read, sentences
from cardiolect.utils.metrics.statements.scores import coverage
from tests.helpers.statements import said


@pytest.mark.parametrize(
    ("text", "codes"),
    [
        ("Sinus rhythm with 1st degree A-V block", "1AVB SR"),
        ("RBBB with left anterior fascicular block", "CRBBB LAFB"),
        ("Incomplete LBBB", "ILBBB"),
        ("Left ventricular hypertrophy by voltage only", "VCLVH"),
        ("Inferior/lateral T wave changes are nonspecific", "NT_"),
        ("Nonspecific T abnormalities, lateral leads", "NDT"),
        ("Atrial flutter with rapid ventricular response with 2:1 A-V block", "AFLT"),
        ("Otherwise normal ECG", "NORM?"),
        ("Abnormal ECG", "NORM-"),
        ("Anteroseptal infarct, old", "ASMI"),
        ("voltages are high in chest leads suggesting lvh.", "VCLVH"),
        ("t waves are low or flat in i, v5,6 and inverted in avl.", "INVT LOWT"),
        ("left bundle branch block, this is most commonly due to    ischaemic heart disease.", "CLBBB"),
        ("LVH with IVCD, LAD and secondary repol abnrm", "IVCD LAD LVH"),
        ("Trace only requested. Lead(s) unsuitable for analysis: V1", ""),
    ],
)
def test_english_statements(text, codes):
    assert said(text) == codes


@pytest.mark.parametrize(
    ("text", "codes"),
    [
        ("Possible old anterior infarct", "ASMI?"),
        ("Inferior infarct - age undetermined", "IMI"),
        ("*** ANTEROLATERAL INFARCT - POSSIBLY ACUTE ***", "ALMI"),
        ("Poor R wave progression - probable normal variant", ""),
        ("Poor R wave progression - cannot rule out anteroseptal infarct", "ASMI?"),
        ("old anteroseptal myocardial infarction cannot be excluded.", "ASMI?"),
        ("Sinus rhythm with borderline 1st degree A-V block", "1AVB? SR"),
        ("QRS changes V3/V4 may be due to LVH but cannot rule out anterior infarct", "ASMI? LVH?"),
        ("Septal and lateral ST-T changes may be due to myocardial ischemia", "ISCAS? ISCLA?"),
        ("Inferior/lateral ST-T changes may be due to hypertrophy and/or ischemia", "ISCIL? LVH?"),
        ("Lateral ST elevation, CONSIDER ACUTE INFARCT", "LMI? STE_"),
        ("Possible atrial flutter with PVCs", "AFLT? PVC"),
        ("incomplete right bundle branch block, this is probably  a normal variant.", "IRBBB"),
        ("Inferior infarct? Sinus rhythm", "IMI? SR"),
    ],
)
def test_doubt_stays_with_what_is_doubted(text, codes):
    assert said(text) == codes


@pytest.mark.parametrize(
    ("text", "codes"),
    [
        ("No evidence of inferior infarct or left bundle branch block", "CLBBB- IMI-"),
        ("No LVH, ischemia or infarct. Sinus rhythm", "ISC_- LVH- MI- SR"),
        ("No LVH, sinus rhythm", "LVH- SR"),
        ("No LVH, atrial fibrillation", "AFIB LVH-"),
        ("No LVH, atrial fibrillation or infarct", "AFIB- LVH- MI-"),
        ("no A-V block, bundle branch block or left ventricular hypertrophy", "LVH-"),
        ("no anterior, inferior or lateral infarct", "ASMI- IMI- LMI-"),
        ("Sinus rhythm without ischemia or infarct but with LVH", "ISC_- LVH MI- SR"),
        ("LVH is not present. Atrial fibrillation is unlikely.", "AFIB- LVH-"),
        ("kein vorhofflimmern, keine ischaemie", "AFIB- ISC_-"),
        ("weder Infarkt noch Ischämie", "ISC_- MI-"),
        ("AV-Block I. Grades, inkompl. RSB, keine Zeichen einer Linkshypertrophie", "1AVB IRBBB LVH-"),
        ("sinusrytm utan ischemi", "ISC_- SR"),
        ("irregular rhythm, no p-wave detected left anterior hemiblock", "LAFB"),
        ("No LVH. Left ventricular hypertrophy", "LVH"),
    ],
)
def test_a_denial_holds_for_its_list_and_no_further(text, codes):
    assert said(text) == codes


@pytest.mark.parametrize(
    ("text", "codes"),
    [
        ("sinusrhythmus linkstyp sonst normales ekg", "LAD NORM? SR"),
        (
            "sinusrhythmus unvollstÄndiger rechtsschenkelblock mÄssige amplitudenkriterien f#r linkshypertrophie",
            "IRBBB SR VCLVH",
        ),
        ("sinusrhythmus qrs(t) abnormal    septaler infarkt nicht auszuschliessen", "ABQRS ASMI? SR"),
        ("qrs(t) abnormal    inferiorer infarkt     wahrscheinlich alt", "ABQRS IMI"),
        ("qrs(t) abnormal    infarkt alter unbest. st-strecke anhebung", "ABQRS MI STE_"),
        ("st & t abnormal, wahrscheinlich    anterolaterale ischÄmie oder linksbelastung", "ISCAL?"),
        ("sinusrhythmus ueberdrehter rechtstyp vorhofsueberlastung rechts", "ARAD RAO/RAE SR"),
        ("V.a. Hinterwandinfarkt. Kein LSB.", "CLBBB- IMI?"),
        ("supraventr. extrasystolen, intraventr. leitungsstörung", "IVCD PAC"),
        ("Linkshypertrophie nicht auszuschließen", "LVH?"),
        ("sinusrhythmus a-v block i steillage", "1AVB AXR SR"),
        ("sinusrytm vÄnster el-axel inkomplett hÖgersidigt skÄnkelblock", "IRBBB LAD SR"),
        ("avvikande qrs(t) fÖrlopp    inferior myokardskada bÖr ÖvervÄgas", "ABQRS IMI?"),
    ],
)
def test_german_and_swedish_compounds(text, codes):
    assert said(text) == codes


def test_statements_glued_by_full_stops_are_apart():
    glued = "- first degree A-V block.Marked left axis deviation.No LVH.Abnormal ECG."
    assert said(glued) == "1AVB ALAD LVH- NORM-"
    assert said("ST depression 0.5 mm in V1.2nd degree AV block") == "2AVB STD_"


def test_notes_of_annotators_are_not_read():
    assert said("sinus rhythm. Edit: LVH 35, (NORM 50)") == "SR"


_EXPECTED = {
    **{name: code for code, name in NAMES.items()},
    ECTOPIES[0]: "PAC",
    ECTOPIES[1]: "PVC",
    AXES[0]: "MID",
    AXES[1]: "LAD",
    AXES[2]: "RAD",
    NORMAL: "NORM",
    ABNORMAL: "NORM-",
    **{f"myocardial infarction in {t} leads": c for t, c in zip(TERRITORIES, ("AMI", "IMI", "LMI"), strict=True)},
    **dict.fromkeys(NOISES, ""),
}


@pytest.mark.parametrize("lexicon", [LEXICON, VARIED_LEXICON], ids=["default", "varied"])
def test_every_sentence_of_the_simulator_has_its_code(lexicon):
    assert {finding: said(sentence) for finding, sentence in lexicon.items()} == {f: _EXPECTED[f] for f in lexicon}
    assert all(read(part).known for sentence in lexicon.values() for part in sentences(sentence))
    assert (
        said(
            "PR interval above the normal range. QT corrected above the normal range. P duration below the normal "
            "range."
        )
        == "LNGQT LPR"
    )


def test_codes_are_ptbxls(shared_data):
    table = pd.read_csv(shared_data / "ptb-xl/scp_statements.csv", index_col=0)
    assert set(table.index) == SCP_CODES
    axes = pd.read_csv(shared_data / "ptb-xl/ptbxl_database.csv").heart_axis.dropna()
    assert set(axes) <= set(AXIS_CODES)


def test_labels_of_real_reports_are_found_where_the_text_states_them(shared_data):
    rows = labelled_reports(shared_data / "ptb-xl/ptbxl_database.csv", set(range(1, 9)))
    scores = agreement(rows, SCP_CODES)
    for code in ("SR", "AFIB", "SARRH", "CLBBB", "QWAVE", "NT_"):
        assert scores["per_finding"][code]["recall"] == 1, code
        assert scores["per_finding"][code]["precision"] >= 0.85, code
    assert scores["micro_f1"] > 0.8


def test_machine_statements_are_covered(shared_data):
    folder = shared_data / "heartllm-json/report/mimic-iv-ecg"
    texts = [row["report"] for row in json.loads((folder / "train.json").read_text())]
    assert coverage(texts)["statements"] > 0.99
    assert all(set(extract(text)) <= CODES for text in texts)


REPORTS = [
    "Sinus rhythm.Possible anterior infarct - age undetermined.Abnormal ECG.",
    "Atrial fibrillation with rapid ventricular response.LVH.",
    "Trace only requested.",
]


def test_a_report_against_itself_scores_one():
    assert set(content_scores(REPORTS, REPORTS).values.values()) == {1.0}


@pytest.mark.parametrize("text", ["", "No sinus rhythm, anterior infarct, atrial fibrillation or LVH."])
def test_silence_and_denial_score_zero(text):
    assert set(content_scores([text] * 3, REPORTS).values.values()) == {0.0}
    assert set(content_scores([], []).values.values()) == set()


def test_doubt_and_walls_count_where_the_score_says_so():
    values = content_scores(["Sinus rhythm. Inferior infarct"], ["Sinus rhythm. Possible anterior infarct"]).values
    assert (values["content_f1"], values["content_f1_class"]) == (0.5, 1.0)
    values = content_scores(["Sinus rhythm. Anterior infarct"], ["Sinus rhythm. Possible anterior infarct"]).values
    assert (values["content_f1"], values["content_f1_sure"]) == (1.0, 0.5)


def test_words_do_not_matter_where_the_content_is_the_same():
    assert content_scores(["sinusrhythmus linksschenkelblock"], ["LBBB. Normal sinus rhythm"]).values["content_f1"] == 1


def test_the_content_score_has_an_interval_over_patients():
    predictions = ["Sinus rhythm. LVH", "Sinus rhythm", "Atrial fibrillation", "Sinus rhythm. RBBB"] * 5
    references = ["Sinus rhythm", "Sinus rhythm. LVH", "Atrial fibrillation", "Sinus rhythm. RBBB"] * 5
    scores = content_scores(predictions, references)
    found = bootstrap_score("content_f1", {"ecg": scores}, list(range(20)), lambda values: values["ecg"], 200)
    assert found.value == pytest.approx(scores.values["content_f1"]) == pytest.approx(10 / 12)
    assert found.low < found.value < found.high


def test_an_output_that_repeats_itself_is_read_in_seconds():
    assert said("no LVH, anterior, " * 1000) == "LVH-"


def test_predictions_without_references_are_refused():
    with pytest.raises(UserError, match="2 predictions for 1 references"):
        content_scores(["a", "b"], ["a"])


def test_the_table_counts_codes_and_shows_what_was_not_understood():
    table = content_table(["Sinus rhythm. LVH", "AFIB"], ["Sinus rhythm. Gibberish here. Gibberish here", "AFIB"])
    assert table["per_code"]["SR"] == {"precision": 1, "recall": 1, "f1": 1, "support": 1}
    assert set(table["per_code"]) == {"SR", "AFIB"}
    assert (table["micro_f1"], table["macro_f1"]) == (pytest.approx(4 / 5), 1)
    assert table["coverage"]["statements"] == 0.5
    assert table["coverage"]["reports"] == 1
    assert table["coverage"]["unrecognised"] == {"gibberish here": 2}


def test_the_command_prints_agreement_and_refuses_nonsense(shared_data):
    command = [sys.executable, "-m", "cardiolect", "statements", "--database"]
    done = subprocess.run(
        [*command, str(shared_data / "ptb-xl/ptbxl_database.csv"), "--folds", "1"], capture_output=True, text=True
    )
    assert done.returncode == 0
    assert "NORM" in done.stdout and "heart axis" in done.stdout and "recognised in" in done.stdout
    done = subprocess.run([*command, "nowhere.csv"], capture_output=True, text=True)
    assert done.returncode == 2
    assert done.stderr.startswith("error: --database nowhere.csv")


@pytest.mark.parametrize(
    ("text", "code", "status"),
    [
        ("No previous infarct.", "MI", "absent"),
        ("No previous ECG. Atrial fibrillation", "AFIB", "present"),
        ("The ECG doesn't show atrial fibrillation", "AFIB", "absent"),
        ("isn't consistent with LBBB", "CLBBB", "absent"),
        ("Atrial fibrillation: no", "AFIB", "absent"),
        ("LVH is doubtful", "LVH", "possible"),
        ("Resolved ST elevation", "STE_", "absent"),
        ("Atrial fibrillation has resolved", "AFIB", "absent"),
        ("AF with rapid ventricular response", "AFIB", "present"),
    ],
)
def test_plain_denials_and_doubts_are_read(text, code, status):
    assert extract(text)[code] == status

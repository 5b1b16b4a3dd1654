"""One table says what PTB-XL's labels mean; what they doubt or contradict is neither stated nor denied."""

import csv

import pytest

from cardiolect.data_provider.corpora.ptbxl_database import LABEL_COLUMNS, load_labels
from cardiolect.data_provider.ecgqa import labels
from cardiolect.data_provider.ecgqa.denied import denied_table
from cardiolect.data_provider.ecgqa.labels import EXTRASYSTOLES, code_answer, has_code
from cardiolect.data_provider.ecgqa.scp_statements import EXCLUSIVE, LISTED_DIAGNOSES, LISTED_RHYTHMS, NAMES
from cardiolect.data_provider.record import LEADS
from cardiolect.data_provider.simulator.varied.truth import judge_axis
from cardiolect.utils.errors import UserError
from cardiolect.utils.scp_codes import DIAGNOSTIC, FORM, RHYTHM, SCP_CODES

SVES, VES, ES = EXTRASYSTOLES.values()
PVC_PAC = {"PVC": VES, "PAC": SVES}


def row(codes, **columns):
    return {**dict.fromkeys(LABEL_COLUMNS, ""), "scp_codes": str(codes), **columns}


@pytest.fixture(scope="module")
def rows(shared_data):
    return load_labels(shared_data / "ptb-xl-labels/ptbxl_database.csv")


def test_kinds_of_statements_are_ptbxls_own(shared_data):
    with open(shared_data / "ptb-xl/scp_statements.csv", newline="") as file:
        flags = {line[""]: line for line in csv.DictReader(file)}
    assert flags.keys() == SCP_CODES
    for kind, codes in (("diagnostic", DIAGNOSTIC), ("form", FORM), ("rhythm", RHYTHM)):
        assert {code for code, line in flags.items() if line[kind] == "1.0"} == codes


def test_names_are_ecg_qas_own(shared_data):
    with open(shared_data / "ecg-qa/ecgqa/ptbxl/answers.csv", newline="") as file:
        answers = {line["class"] for line in csv.DictReader(file)}
    assert set(NAMES.values()) <= answers
    with open(shared_data / "ecg-qa/ecgqa/ptbxl/answers_for_each_template.csv", newline="") as file:
        lists = {int(line["template_id"]): line["classes"] for line in csv.DictReader(file)}
    assert lists[5].count("'") == 2 * len({*LISTED_DIAGNOSES.values(), "none"})
    assert all(f"'{name}'" in lists[5] for name in LISTED_DIAGNOSES.values())
    assert all(f"'{name}'" in lists[7] for name in LISTED_RHYTHMS.values())


@pytest.mark.parametrize(
    ("code", "likelihood", "answer"),
    [
        *[(code, 100.0, ("yes",)) for code in ("NST_", "LVH", "IMI", "PVC", "AFIB", "PACE", "1AVB")],
        *[(code, 0.0, ("yes",)) for code in ("NST_", "NDT", "DIG", "LNGQT", "SR", "QWAVE", "PAC")],
        *[(code, k, ("not sure",)) for code in ("NST_", "NDT", "LVH", "IMI", "STACH") for k in (1.0, 15.0, 50.0, 80.0)],
        *[(code, 0.0, None) for code in ("LVH", "IMI", "CLBBB")],  # a diagnosis of unknown likelihood
    ],
)
def test_likelihoods_mean_what_they_mean_in_ecg_qa(code, likelihood, answer):
    one = row({code: likelihood, "SR": 0.0} if code not in RHYTHM else {code: likelihood})
    assert code_answer(one, code) == answer
    assert has_code(one, code) is (True if answer == ("yes",) else None)


@pytest.mark.parametrize(
    ("stated", "left_open"),
    [
        ("VCLVH", "LVH"),
        ("LVH", "VCLVH"),
        ("LPR", "1AVB"),
        ("LOWT", "NDT"),
        ("INVT", "NDT"),
        ("NDT", "INVT"),
        ("SBRAD", "SR"),
        ("STACH", "SR"),
        ("ILMI", "IMI"),
        ("ALMI", "AMI"),
        ("ISCAL", "ISC_"),
        ("IVCD", "ABQRS"),
        ("BIGU", "PAC"),
        ("STD_", "NST_"),
        ("XYZ", "AFIB"),  # a code that PTB-XL does not have
    ],
)
def test_nothing_is_denied_that_another_code_may_mean(stated, left_open):
    assert has_code(row({stated: 100.0, "SARRH": 0.0}), left_open) is None
    assert code_answer(row({stated: 100.0, "SARRH": 0.0}), left_open) is None


@pytest.mark.parametrize("unnamed", ["IVCD", "ISCAL", "ILMI", "NT_", "LPR", "RVH", "WPW", "TAB_", "ILBBB", "PMI"])
def test_a_code_without_a_question_leaves_open_only_what_it_can_mean(unnamed):
    recording = row({unnamed: 100.0, "SR": 0.0})
    assert all(has_code(recording, code) is False for code in ("AFIB", "AFLT", "PVC", "LAFB", "LVOLT", "SBRAD"))


@pytest.mark.parametrize(
    ("stated", "denied"),
    [("LVH", "ABQRS"), ("LVOLT", "ABQRS"), ("CLBBB", "ABQRS"), ("IMI", "ABQRS"), ("IMI", "QWAVE"), ("ISCAL", "INVT")],
)
def test_what_another_code_only_makes_likely_is_denied(stated, denied):
    assert has_code(row({stated: 100.0, "SR": 0.0}), denied) is False


def test_those_denied_are_not_healthier_than_all_without_the_code(rows):
    """AMI is left open by ASMI, which PTB-XL states for anterior infarcts; SR by its rates."""
    lines = [[cell.strip() for cell in line.split("|")[1:-1]] for line in list(denied_table(rows))[2:]]
    assert {code for code, *_, apart in lines if apart} == {"AMI", "SR"}
    assert len(lines) == len({**labels.DIAGNOSES, **labels.RHYTHMS, **labels.FORMS})


@pytest.mark.parametrize(
    ("codes", "open_codes"),
    [
        ({"AFIB": 0.0, "1AVB": 100.0}, ("AFIB", "1AVB")),
        ({"AFIB": 0.0, "AFLT": 0.0}, ("AFIB", "AFLT")),
        ({"AFLT": 0.0, "1AVB": 100.0}, ("AFLT", "1AVB")),
        ({"PACE": 0.0, "SR": 0.0}, ("PACE", "SR")),
        ({"NORM": 100.0, "AFIB": 0.0}, ("AFIB",)),
        ({"LVH": 100.0, "LVOLT": 0.0, "SR": 0.0}, ("LVH", "LVOLT")),
        ({"CRBBB": 100.0, "IRBBB": 100.0, "SR": 0.0}, ("CRBBB", "IRBBB")),
    ],
)
def test_of_codes_that_exclude_each_other_neither_is_answered(codes, open_codes):
    assert [has_code(row(codes), code) for code in open_codes] == [None] * len(open_codes)


def test_a_doubtful_code_excludes_nothing():
    assert has_code(row({"AFIB": 0.0, "1AVB": 50.0}), "AFIB") is True


def test_no_recording_is_answered_yes_for_codes_that_exclude_each_other(rows):
    for one in rows:
        pairs = [pair for pair in EXCLUSIVE if labels.scp_codes(one).keys() >= set(pair)]
        for pair in pairs:
            assert [has_code(one, code) for code in pair].count(True) < 2, one["ecg_id"]


def test_changes_with_a_stated_cause_are_not_non_specific():
    assert has_code(row({"STD_": 0.0, "ISC_": 100.0, "SR": 0.0}), "NST_") is False
    assert has_code(row({"LOWT": 0.0, "DIG": 100.0, "SR": 0.0}), "NDT") is False


@pytest.mark.parametrize("codes", [{"IMI": 100.0, "ABQRS": 0.0}, {"NST_": 100.0}, {"BIGU": 0.0}, {"LVH": 50.0}])
def test_a_recording_without_a_rhythm_code_is_not_asked_about_its_rhythm(codes):
    recording = row(codes)
    assert {has_code(recording, code) for code in ("SR", "SBRAD", "AFIB", "AFLT", "PACE")} == {None}
    assert labels.rhythms(recording) is labels.names_of_codes(recording, labels.RHYTHMS) is None


def test_lists_name_every_statement_and_nothing_that_follows_from_one():
    assert labels.rhythms(row({"SBRAD": 0.0})) == ("sinus bradycardia",)
    assert labels.rhythms(row({"SVARR": 0.0})) is None  # has no name in ECG-QA
    assert labels.names_of_codes(row({"SBRAD": 0.0}), {"AFIB": "fibrillation", "SR": "sinus rhythm"}) is None
    assert labels.diagnoses(row({"ILMI": 100.0, "IVCD": 100.0, "SR": 0.0})) == (
        "non-specific intraventricular conduction disturbance (block)",
        "myocardial infarction in inferolateral leads",
    )
    assert labels.diagnoses(row({"WPW": 100.0, "SR": 0.0})) is labels.diagnoses(row({"LVH": 35.0, "SR": 0.0})) is None


@pytest.mark.parametrize("cell", ["VES", "3VES", "VES1,alles", "VES3,II-AVF", "VES2,V1-V4"])
def test_beats_that_only_the_column_names_are_left_open(cell):
    recording = row({"NORM": 100.0, "SR": 0.0}, extra_beats=cell)
    assert has_code(recording, "PVC") is labels.has_extrasystole(recording, VES) is None
    assert labels.any_extrasystole(recording) is labels.agreed_extrasystoles(recording) is None
    assert has_code(recording, "PAC") is False


@pytest.mark.parametrize("cell", ["SVES", "ES,SVES", "1ES,SVES", "SVES2,alles"])
def test_beats_of_another_kind_than_the_code_are_left_open(cell):
    recording = row({"PVC": 100.0, "SR": 0.0}, extra_beats=cell)
    assert has_code(recording, "PVC") is labels.has_extrasystole(recording, VES) is None
    assert has_code(row({"PVC": 100.0, "SR": 0.0}, extra_beats="1ES"), "PVC") is True
    assert has_code(row({"PVC": 100.0, "SR": 0.0}, extra_beats="VES,SVES"), "PVC") is True


def test_an_infarct_of_unknown_age_is_not_asked_about():
    infarct = {"IMI": 100.0, "SR": 0.0}
    unknown = row(infarct, infarction_stadium1="unknown")
    both = row(infarct, infarction_stadium1="Stadium III", infarction_stadium2="unknown")
    assert labels.stages(unknown) is labels.stages(both) is None
    old, early = labels.STAGES["Stadium III"], labels.STAGES["Stadium I"]
    assert labels.stages(row(infarct, infarction_stadium1="Stadium III")) == (old,)
    assert (labels.has_stage(both, old), labels.has_stage(both, early)) == (True, None)


def test_beats_that_column_and_codes_name_are_stated():
    recording = row({"PVC": 100.0, "SR": 0.0}, extra_beats="VES2,alles")
    assert has_code(recording, "PVC") is labels.has_extrasystole(recording, VES) is True
    assert labels.any_extrasystole(recording) is True
    assert labels.has_extrasystole(recording, SVES) is has_code(recording, "PAC") is False
    assert labels.agreed_extrasystoles(recording) == (VES,)


def test_no_recording_is_given_two_answers_about_its_extra_beats(rows):
    asked = {name: 0 for name in PVC_PAC.values()}
    for one in rows:
        for code, kind in PVC_PAC.items():
            states = {has_code(one, code), labels.has_extrasystole(one, kind)}
            assert not states >= {True, False}, one["ecg_id"]
            asked[kind] += states == {True}
        if one["extra_beats"].strip() == "SVES":
            assert has_code(one, "PAC") is not False
    assert all(asked.values())


def test_a_pacemaker_in_its_column_is_not_denied():
    assert has_code(row({"SR": 0.0}, pacemaker="ja, pacemaker"), "PACE") is None
    assert has_code(row({"SR": 0.0}, pacemaker="?, nan"), "PACE") is None


@pytest.mark.parametrize(
    ("cell", "kinds"),
    [
        ("VES1,alles", (VES,)),
        ("VES,SVES", (SVES, VES)),
        ("1ES,SVES", (SVES, ES)),
        ("1Es", (ES,)),
        ("2ES(2Typen)", (ES,)),
        ("SVES;alles", (SVES,)),
        ("VES,SVES6,V1,V2", (SVES, VES)),
        ("1,alles", None),  # "alles" has no beat in it
        ("period.", None),
        ("", ("none",)),
    ],
)
def test_all_kinds_of_extra_beats_in_a_cell_are_read(cell, kinds):
    assert labels.extrasystoles(row({}, extra_beats=cell)) == kinds


def test_of_the_cells_about_extra_beats_only_those_without_a_kind_are_lost(rows):
    filled = [one for one in rows if one["extra_beats"].strip()]
    unread = [one["extra_beats"] for one in filled if labels.extrasystoles(one) is None]
    assert (len(filled), len(unread)) == (1949, 209)
    assert not [cell for cell in unread if "ES" in cell.upper().replace("ALLES", "")]


V = [f"V{k}" for k in range(1, 7)]


@pytest.mark.parametrize(
    ("cell", "leads"),
    [
        ("alle", LEADS),
        ("alle Abl.,  ", LEADS),
        (" , alles, noisy recording,", LEADS),
        ("v1-6", V),
        (" , v3-4", V[2:4]),
        ("v2-v5", V[1:5]),
        (" , I-V1, noisy recording,", LEADS[:7]),
        ("I-ALF", LEADS[:6]),
        (" , V4 stark", ["V4"]),
        (" , V5 stark!", ["V5"]),
        (" , mittel I,  ", ["I"]),
        ("stufe v3,  ", ["V3"]),
        (" , V 4", ["V4"]),
        ("I --AVL", LEADS[:5]),
        (" , avl-iii, Stark,  ", ["III", "aVR", "aVL"]),
        ("I,II,AVL-AVR", ["I", "II", "aVR", "aVL"]),
        (" , I-V!,V5,V6,  ", [*LEADS[:7], "V5", "V6"]),
        (" , V1,V2,V&,  ", ["V1", "V2", "V6"]),
    ],
)
def test_leads_of_noise_cells_are_read_whole(cell, leads):
    assert labels.noisy_leads(cell) == set(leads)


@pytest.mark.parametrize("cell", ["V1???", "aVL???", " , mittel,  ", " , noisy recording,", " , V7", "napf,  ", "V1V6"])
def test_noise_in_doubt_or_in_no_lead_is_not_asked_about(cell):
    recording = row({"SR": 0.0}, electrodes_problems=cell)
    assert labels.has_noise(recording, "electrodes_problems") is labels.noises(recording) is None
    assert {labels.has_noise_in(recording, "electrodes_problems", lead) for lead in LEADS} == {None}


def test_of_the_noise_cells_only_those_in_doubt_or_without_a_lead_are_lost(rows):
    cells = [one[column] for one in rows for column in labels.NOISES if one[column].strip()]
    unread = {cell for cell in cells if labels.noisy_leads(cell) is None}
    assert (len(cells), sum(cell in unread for cell in cells)) == (5500, 222)
    assert sum(any(lead.upper() in cell.upper().split("?")[0] for lead in LEADS[3:]) for cell in unread) < 10


def test_left_axis_deviation_of_ecg_qa_has_ptbxls_limit_and_of_clinical_text_minus_30_degrees():
    for code, axis, clinical in [
        ("MID", "normal heart axis", "normal heart axis"),
        ("LAD", "left axis deviation", None),
        ("ALAD", "left axis deviation", "left axis deviation"),
        ("ARAD", "right axis deviation", "right axis deviation"),
        ("AXL", None, None),
        ("", None, None),
    ]:
        recording = row({"SR": 0.0}, heart_axis=code)
        assert (labels.axis_of(recording), labels.clinical_axis_of(recording)) == (axis, clinical)
    assert {judge_axis(degrees, False)[0] for degrees in (-37, -20, -15, -5, 0, 11)} == {None}
    assert judge_axis(-45, False)[0] == "left axis deviation"
    assert judge_axis(13, False)[0] == judge_axis(70, False)[0] == "normal heart axis"


@pytest.mark.parametrize("cell", ["", "NORM", "{'NORM': 'sure'}", "[1]", "{'NORM'"])
def test_a_row_with_unreadable_codes_is_named(cell):
    with pytest.raises(UserError, match="ecg_id 17: scp_codes"):
        labels.scp_codes({"ecg_id": "17", "scp_codes": cell})

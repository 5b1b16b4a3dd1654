"""Texts that were misread over all of PTB-XL, the command that lists them, and agreement with the labels."""

import subprocess
import sys

import pytest

from cardiolect.utils.errors import UserError
from cardiolect.utils.metrics.statements.__main__ import agreement, labelled_reports, main
from cardiolect.utils.metrics.statements.codes import SCP_CODES
from cardiolect.utils.metrics.statements.misread import Labelled, misread, words_by_decade
from cardiolect.utils.metrics.statements.practice import labelled
from cardiolect.utils.metrics.statements.scores import stated
from tests.helpers.statements import said


@pytest.mark.parametrize("form", ["abnorm", "abnormal", "abnormes", "abnormales", "abnorme", "abnormer"])
def test_every_form_of_abnormal_is_known(form):
    assert said(f"qrs(t) {form} inferiorer myokardschaden möglich") == "ABQRS IMI?"
    assert said(f"t {form} in inferioren ableitungen") == "TAB_"
    assert said(f"unspezifisches {form} t") == "NDT"
    assert said(f"st & t {form}, wahrscheinlich inferiore ischämie oder linksbelastung") == "ISCIN?"


@pytest.mark.parametrize(
    ("text", "codes"),
    [
        ("qrs(t) abnorm anteroseptaler myokardschaden nicht auszuschliessen", "ABQRS ASMI?"),
        ("st & t abnorm", "NST_"),
        ("anteriorer infarkt, alter unbestimmt", "ASMI"),
        ("old anterior infarct", "ASMI"),
        ("unspezifischer intraventrikulärer block", "IVCD"),
        ("vorhofflimmern, kein schenkelblock, llt", "AFIB LAD"),
        ("sinusrhythmus mlt", "MID SR"),
        ("slt", "AXR"),
        ("schwierig bestimmbare qrs-achse", ""),
        ("voltages in limb leads are at upper limit", "HVOLT?"),
        ("the age of the changes is uncertain", ""),
        ("lateral subendocardial infarction of uncertain age", "INJLA"),
        ("st abnorm, möglicherweise inferiorer innenschichtsschaden", "INJIN?"),
        ("regelmässiger rhythmus, keine p-welle erkannt", ""),
        ("beschleunigter av-rhythmus", "SVARR"),
        ("wandernder schritmacher", "SVARR"),
        ("unspezifisch abnormes st-t (hebung)", "STE_"),
        ("abnormal nature of complexes obscures further interpretation", ""),
        ("sinus arytmi avvikande qrs(t) förlopp qt förlängd", "ABQRS LNGQT SARRH"),
        ("ospecifikt inkomplett skänkelblock", "IVCD"),
        ("slag med avvikande impulsutbredning", ""),
        ("schenkelblock links ant.", "LAFB"),
        ("av- block 1. grades st- hebung v2", "1AVB STE_"),
    ],
)
def test_statements_of_the_table_of_misread_texts(text, codes):
    assert said(text) == codes


ROWS = [
    Labelled("1", "Sinus rhythm. Blub.", {"SR"}, {"SR", "LVH"}),
    Labelled("2", "Sinus rhythm. Blub.", {"SR"}, {"SR", "LVH"}),
    Labelled("3", "Sinus rhythm. Low voltage.", {"SR", "LVOLT"}, {"SR"}),
    *(Labelled(str(n), "Sinus rhythm.", {"SR"}, {"SR"}) for n in range(4, 21)),
]


def test_misread_statements_are_put_down_to_where_they_stand():
    first, second = misread(ROWS)
    assert (first.count, first.reports, first.kind, first.code, first.statement) == (2, 2, "missed", "LVH", "blub")
    assert (second.count, second.kind, second.code, second.statement) == (1, "false", "LVOLT", "low voltage")


def test_words_next_to_statements_are_counted_by_tenths_of_the_ids():
    assert words_by_decade(ROWS) == [("blub", [2, *[0] * 9])]


def test_labels_follow_the_annotators_where_they_do_not_follow_the_words():
    report = "sinusrhythmus p-sinistrocardiale lagetyp normal"
    assert stated(report) & SCP_CODES == {"SR", "LAO/LAE"}
    assert labelled(report) & SCP_CODES == {"SR", "NORM"}
    assert labelled("voltages are high in chest leads suggesting lvh") == {"VCLVH", "LVH"}
    assert "NORM" not in labelled("trace only requested")


def test_agreement_over_all_rows_of_the_label_table(shared_data):
    """A tenth of the training folds, in seconds; the command measures all."""
    rows = labelled_reports(shared_data / "ptb-xl-labels/ptbxl_database.csv", set(range(1, 9)))[::10]
    assert agreement(rows, SCP_CODES)["micro_f1"] > 0.75
    assert agreement(rows, SCP_CODES, labelled)["micro_f1"] > 0.81
    assert agreement(rows, SCP_CODES)["per_finding"]["ABQRS"]["recall"] > 0.99


def test_the_command_lists_misread_statements(shared_data):
    command = [sys.executable, "-m", "cardiolect", "statements", "--misread"]
    database = ["--database", str(shared_data / "ptb-xl/ptbxl_database.csv"), "--folds", "1"]
    done = subprocess.run([*command, "3", *database], capture_output=True, text=True)
    assert done.returncode == 0
    assert done.stdout.startswith("misread") and "tenths of the ids" in done.stdout
    for arguments in (["0", *database], ["3"]):
        done = subprocess.run([*command, *arguments], capture_output=True, text=True)
        assert done.returncode == 2
        assert done.stderr.startswith("error: ")


def test_reports_that_disagree_on_a_code_are_counted_and_an_unknown_code_is_named(shared_data, tmp_path, capsys):
    given = ["--database", str(shared_data / "ptb-xl/ptbxl_database.csv"), "--folds", "1-8", "--misses"]
    main([*given, "afib"])
    lines = capsys.readouterr().out.splitlines()
    assert lines[-1] == f"{len(lines) - 1} of 344 reports disagree with their labels on AFIB"
    with pytest.raises(UserError, match="--misses XYZ: not a code of PTB-XL"):
        main([*given, "XYZ"])
    with pytest.raises(UserError, match=r"Is a directory; give PTB-XL's ptbxl_database\.csv"):
        main(["--database", str(tmp_path)])

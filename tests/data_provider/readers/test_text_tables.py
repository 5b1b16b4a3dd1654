"""CSV and other text tables as recorders, converters and spreadsheets write them: the right ECG, or why not."""

import numpy as np
import pytest

from cardiolect.data_provider.readers import RecordError, read_record
from cardiolect.data_provider.record import LEADS
from tests.helpers.text_tables import FS, IN_MV, LAYOUT, SIGNAL, assert_read, read, refused, seconds, text

ALONE = {
    "PhysioBank": text(
        [],
        lambda row: f"'0:{row / FS:06.3f}'",
        above=",".join(["'Elapsed time'", *(f"'{lead}'" for lead in LEADS)]) + "\n'hh:mm:ss.mmm'" + ",'mV'" * 12 + "\n",
    ),
    "rdsamp": text(
        [],
        lambda row: f"      0:{row / FS:06.3f}",
        form="%7.3f",
        delimiter="\t",
        above="   Elapsed time\t   " + "\t   ".join(LEADS) + "\n   hh:mm:ss.mmm" + "\t   (mV)" * 12 + "\n",
    ),
    "blanks": text(
        [],
        lambda row: f"   0:{row / FS:06.3f}",
        form="%7.3f",
        delimiter=" ",
        above="  Elapsed time  " + "   ".join(LEADS) + "\n  hh:mm:ss.mmm" + "   (mV)" * 12 + "\n",
    ),
    "LabChart": text(
        [],
        seconds,
        delimiter="\t",
        above="Interval=\t0.002 s\nExcelDateTime=\t4.27E+04\t2017-01-01 14:29:10\n"
        "TimeFormat=\tStartOfBlock\nChannelTitle=\t" + "\t".join(LEADS) + "\nRange=" + "\t10.000 mV" * 12 + "\n",
    ).replace("\n0.100\t", "\t#* moved, spoke\n0.100\t"),
    "spreadsheet": text(
        [f"{lead} [mV]" for lead in LEADS],
        delimiter=";",
        comma=True,
        above="sep=;\nName;X;;;;;;;;;;\nPatient ID;123;;;;;;;;;;\nSample rate;500;Hz\n\n",
    ),
    "R": text(["Time..s.", *(f"{lead}..mV." for lead in LEADS)], seconds),
    "Matlab": text(["Time_s_", *(f"{lead}_mV_" for lead in LEADS)], seconds),
    "comments": text(above="# exported\n# Sampling rate: 500 Hz, 1000 samples\n# unit: mV\n"),
    "microvolts": text(
        ["t [ms]", *(f"{lead}_uV" for lead in LEADS)], lambda row: str(2 * row), form="%.0f", factor=1000
    ),
    "volts": text(["t/s", *LEADS], seconds, form="%.6f", factor=1e-3).replace("V6\n", "V6\ns" + ",V" * 12 + "\n", 1),
    "a row for each lead": "\n".join(
        ["time (s)," + ",".join(map(seconds, range(SIGNAL.shape[1])))]
        + [f"{name}," + ",".join(f"{value:.3f}" for value in row) for name, row in zip(IN_MV, SIGNAL, strict=True)]
    )
    + "\n",
}


@pytest.mark.parametrize("kind", ALONE)
def test_a_file_that_states_rate_and_unit_needs_no_layout(kind, tmp_path):
    channels = assert_read(tmp_path, ALONE[kind])
    assert set(channels.scales.values()) == {{"microvolts": "1 uV", "volts": "1 V"}.get(kind, "1 mV")}
    assert set(channels.names) == set(LEADS)
    assert_read(tmp_path, ALONE[kind].encode("utf-16"))
    assert "Hz; correct one" in refused(tmp_path, ALONE[kind], LAYOUT | {"sampling_rate": 400})
    wrong = refused(tmp_path, ALONE[kind], LAYOUT | {"unit": "nV"})
    assert "for lead I, and the layout next to it nV; correct one" in wrong


def test_what_a_file_lacks_is_named(tmp_path):
    for table, lack in (
        (text(), "contains neither sampling rate nor unit; give both in ecg.layout.json"),
        (text(["t [s]", *LEADS], seconds), "contains no unit; "),
        (text(IN_MV), "contains no sampling rate; "),
        (text(["time", *IN_MV], str), "contains times that tell no sampling rate; "),
        (text(["t [s]", *IN_MV[:6], *LEADS[6:]], seconds), "contains no unit for lead V1; "),
        (text(["t [s]", *LEADS], seconds).replace("V6\n", "V6\ns" + ",adu" * 12 + "\n", 1), "contains no unit; "),
        (text(above="# fs 500\n# unit uV\n# gain 4.88\n"), "contains a gain or scale above its table"),
        (
            text(["Time (s)", *IN_MV], lambda row: str(2 * row)),
            "its time column means 0.5 Hz; correct the unit of time",
        ),
        (text(above="# fs 500\n# unit: mV/div\n"), "contains no unit; "),
        (text(above="# Mains frequency: 50 Hz, rate 72\n# unit: mV\n"), "contains no sampling rate; "),
        (text(above="Frequency,0.5 kHz\n# sampling rate: 1000 Hz\n"), "states 500 Hz and 1000 Hz above its table"),
        (text(above="# fs 500\n# sampling rate: 1000 Hz\n"), "states 500 Hz and 1000 Hz above its table"),
    ):
        assert refused(tmp_path, table).startswith(lack)


def test_only_what_is_missing_is_asked_for_and_needed_in_the_layout(tmp_path):
    timed, named = text(["t [s]", *LEADS], seconds), text(IN_MV)
    assert refused(tmp_path, timed) == (
        'contains no unit; give it in ecg.layout.json or layout.json next to it ({"unit": "mV"})'
    )
    assert '({"sampling_rate": 500})' in refused(tmp_path, named)
    assert_read(tmp_path, timed, {"unit": "mV"})
    assert_read(tmp_path, named, {"sampling_rate": FS})
    assert_read(tmp_path, text(above="# fs 500\n"), {"unit": "mV"})
    assert_read(tmp_path, text(["t [s]", *(f"ch{n} [mV]" for n in range(12))], seconds), {"leads": list(LEADS)})
    assert refused(tmp_path, text(), {"unit": "mV"}).startswith("contains no sampling rate; give it")
    assert refused(tmp_path, text(), {"sampling_rate": FS}).startswith("contains no unit; give it")
    assert refused(tmp_path, text(), {"samples": 1000}).startswith("contains neither sampling rate nor unit; give both")
    assert "scale needs a unit" in refused(tmp_path, timed, {"scale": 0.1})


def test_german_tables_are_read(tmp_path):
    names = [*(f"Abl. {lead}" for lead in LEADS[:6]), *(f"Ableitung {lead}" for lead in LEADS[6:])]
    above = "Abtastrate;500 Hz\nEinheit;µV\n"
    table = text(names, form="%.1f", delimiter=";", comma=True, factor=1000, above=above)
    for content in (table, table.encode("latin-1"), table.replace("Einheit;µV", "Einheit;µV;;;;;;;;;;")):
        channels = assert_read(tmp_path, content)
        assert channels.scales["V6"] == "1 µV" and channels.names["I"] == "Abl. I"
    assert_read(tmp_path, text([f"Ableitung_{lead} [mV]" for lead in LEADS], above="Abtastfrequenz: 500\n"))


def test_leads_may_have_different_units(tmp_path):
    names = ["t [s]", *IN_MV[:6], *(f"{lead} [V]" for lead in LEADS[6:])]
    table = text(names, seconds, form="%.6f")
    _, signal, channels = read(tmp_path, table.replace("[V]", "[uV]"))
    np.testing.assert_allclose(signal[:6], SIGNAL[:6], atol=1e-5)
    np.testing.assert_allclose(signal[6:], SIGNAL[6:] / 1000, atol=1e-5)
    assert channels.scales["aVF"] == "1 mV" and channels.scales["V1"] == "1 uV"


def test_a_scale_in_the_layout_may_agree_with_the_units_of_the_file(tmp_path):
    table = text([f"{lead} [uV]" for lead in LEADS], form="%.1f", factor=1000)
    channels = assert_read(tmp_path, table, LAYOUT | {"scale": 0.001})
    assert channels.scales["I"] == "0.001 mV"


FORMS = {
    "UTF-8 with a mark": text().encode("utf-8-sig"),
    "UTF-16": text().encode("utf-16"),
    "UTF-16 without a mark": text().encode("utf-16-le"),
    "Latin-1": text(["Überschrift", *LEADS], lambda row: "x").encode("latin-1"),
    "tabs and decimal commas": text(delimiter="\t", comma=True),
    "quoted decimal commas": text(form='"%.3f"', comma=True),
    "blanks": text(delimiter="  "),
    "line breaks of Windows": text().replace("\n", "\r\n"),
    "line breaks of old Macs": text().replace("\n", "\r"),
    "names in single quotes": text([f"'{lead}'" for lead in LEADS]),
    "everything quoted": text([f'"{lead}"' for lead in LEADS], form='"%.3f"'),
    "exponents": text(form="%.5E"),
    "minus signs of typography": text().replace("-", "\N{MINUS SIGN}"),
    "a column of text with commas": text(["note", *LEADS], lambda row: '"a, b"'),
    "a delimiter at the end of each line": text().replace("\n", ",\n"),
    "names after a comment mark": text(delimiter=" ", above="# "),
    "names that R writes without one for the index": text(
        [f'"{lead}"' for lead in LEADS], '"{}"'.format, delimiter=" "
    ),
    "empty lines at the end": text() + "\n\n",
}


@pytest.mark.parametrize("form", FORMS)
def test_encodings_delimiters_and_quotes(form, tmp_path):
    assert_read(tmp_path, FORMS[form], LAYOUT)


LAID_OUT = {
    "numbers alone": text([]),
    "other names": text([f"ch{n}" for n in range(12)]),
    "other names and times": text(["Time", *(f"ch{n}" for n in range(12))], seconds),
    "the numbers that pandas gives columns": text([str(n) for n in range(12)]),
    "and rows": text(["", *(str(n) for n in range(12))], str),
    "the names that R gives columns": text([f'"V{n}"' for n in range(1, 13)]),
    "an index": text([], str),
    "times": text([], seconds),
    "an empty column": text([]).replace("\n", ",\n"),
    "a row for each lead": "\n".join(",".join(f"{value:.3f}" for value in row) for row in SIGNAL) + "\n",
}


@pytest.mark.parametrize("kind", LAID_OUT)
def test_the_layout_names_the_leads_of_tables_without_names(kind, tmp_path):
    assert_read(tmp_path, LAID_OUT[kind], LAYOUT | {"leads": LEADS})
    assert "give their leads in the layout" in refused(tmp_path, LAID_OUT[kind], LAYOUT) or kind.startswith("other")


def test_names_and_columns_that_do_not_fit_are_refused(tmp_path):
    order = [*LEADS[:4], "aVF", "aVL", *LEADS[6:]]
    assert refused(tmp_path, text(), LAYOUT | {"leads": order}).startswith("calls column 5 aVL, and the layout")
    label_last = text([]).replace("\n", ",1.0\n")
    assert refused(tmp_path, label_last, LAYOUT | {"leads": LEADS}).startswith("13 columns without names")
    assert "names 12 columns, and its rows have 24 cells" in refused(tmp_path, text(comma=True), LAYOUT)
    for layout in (LAYOUT, LAYOUT | {"leads": LEADS}):  # a name is missing, of the first column or of the last
        assert "names 12 columns, and its rows have 13 cells" in refused(
            tmp_path, text().replace("\n", ",7\n").replace("V6,7", "V6"), layout
        )
    times = refused(tmp_path, text([], seconds), {"sampling_rate": 250, "unit": "mV", "leads": ["time", *LEADS]})
    assert times.startswith("its time column means 500 Hz")


def test_commas_that_may_separate_thousands_are_refused(tmp_path):
    rows = "\n".join("\t".join(f"{round(1000 * value) + 9000:,}" for value in sample) for sample in SIGNAL.T)
    assert "may separate thousands" in refused(tmp_path, "\t".join(LEADS) + f"\n{rows}\n", LAYOUT)


def test_an_index_without_a_name_is_told_from_an_empty_last_column(tmp_path):
    lines = text(first=str).split("\n")
    lost = [lines[0], *(line[: line.rindex(",") + 1] for line in lines[1:4]), *lines[4:]]
    _, _, channels = read(tmp_path, "\n".join(lost), LAYOUT)
    assert np.flatnonzero(np.isnan(channels.leads["V6"])).tolist() == [0, 1, 2]
    np.testing.assert_allclose(channels.leads["I"], SIGNAL[0], atol=1e-5)


def test_missing_cells_are_gaps_and_other_text_is_an_error(tmp_path):
    lines = text().split("\n")
    for mark in ("", "NaN", "nan", "-", "NA"):
        cells = lines[7].split(",")
        cells[3] = mark
        _, _, channels = read(tmp_path, "\n".join([*lines[:7], ",".join(cells), *lines[8:]]), LAYOUT)
        assert np.flatnonzero(np.isnan(channels.leads["aVR"])).tolist() == [6]
    cells[3] = "Miller"
    said = refused(tmp_path, "\n".join([*lines[:7], ",".join(cells), *lines[8:]]), LAYOUT)
    assert said == "line 8 has no number in column 4"


def test_the_end_of_a_file_without_a_line_break(tmp_path):
    """A number whose digits may be missing is left out; one that lacks some is an error."""
    note = "the last line has no line break, so the file may have been cut off there"
    whole = text()[:-1]
    for layout in (LAYOUT, LAYOUT | {"samples": SIGNAL.shape[1]}):
        assert assert_read(tmp_path, whole, layout).notes == (note,)
    assert "its last line is cut off" in refused(tmp_path, whole[:-1], LAYOUT)
    for cut in range(4, 60):
        assert "cut off" in (said := refused(tmp_path, whole[:-cut], LAYOUT)) or "unequal length" in said
    _, _, channels = read(tmp_path, text(form="%.0f", factor=1000)[:-1], LAYOUT | {"unit": "uV"})
    assert channels.notes == (note, "its last number was left out, as digits may be missing")
    assert np.flatnonzero(np.isnan(channels.leads["V6"])).tolist() == [SIGNAL.shape[1] - 1]
    assert refused(tmp_path, text(), LAYOUT | {"samples": 1001}) == "has 1000 of 1001 samples"


def test_several_tables_in_a_file_are_refused(tmp_path):
    assert "line 1006 has 2 of 13 cells" in refused(tmp_path, ALONE["LabChart"] * 2)


NO_TABLES = ["", "\n", "Report\nPatient: Miller\nall fine\n" * 30, ",".join(LEADS) + "\n", "<p>1</p>\n" * 9]
LONG = [
    "x" * 10**6,
    " " * 10**6,
    "#" * 10**6,
    "'" * 10**5,
    '"' * 10**5,
    "sampling rate" + " " * 10**6,
    "1 " * 10**5 + "#",
]


@pytest.mark.parametrize("content", [*NO_TABLES, *LONG], ids=range(len(NO_TABLES) + len(LONG)))
def test_a_text_without_a_table_is_refused_in_a_line_that_does_not_quote_it(content, tmp_path):
    assert "Miller" not in (said := refused(tmp_path, content, LAYOUT)) and "\n" not in said and len(said) < 120


def test_text_tables_of_other_suffixes_read_the_same(tmp_path):
    for name in ("ecg.tsv", "ecg.txt"):
        assert_read(tmp_path, text(delimiter="\t"), LAYOUT)
        assert read(tmp_path, text(delimiter="\t"), LAYOUT, name)[2].kind == "TSV"


def test_damage_gives_an_error_of_one_line_or_an_ecg(tmp_path):
    rng = np.random.default_rng(0)
    for kind, table in ALONE.items():
        whole = table.encode()
        for trial in range(12):
            damaged = bytearray(whole)
            for place in rng.integers(0, 600 if trial % 2 else len(whole), 6):
                damaged[place] = rng.integers(256)
            (tmp_path / "ecg.csv").write_bytes(damaged)
            try:
                read_record(tmp_path / "ecg.csv")
            except RecordError as error:
                assert "\n" not in str(error) and "damaged, or not the format" not in str(error), kind

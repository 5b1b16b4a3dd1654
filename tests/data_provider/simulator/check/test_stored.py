"""A simulated corpus that was altered is told from one as it was written, and the altered recording is named."""

import csv
import json
import shutil
from pathlib import Path

import pytest

from cardiolect.data_provider.simulator.check.__main__ import main
from cardiolect.data_provider.simulator.check.measured import Measured
from cardiolect.data_provider.simulator.corpus import VERSION, Variety, write_corpus
from cardiolect.data_provider.simulator.ptbxl_tables import filename_hr
from cardiolect.utils.errors import UserError

RECORDS = 20


@pytest.fixture(scope="module")
def written(tmp_path_factory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("check")
    write_corpus(folder / "default", RECORDS, seed=6, workers=1)
    write_corpus(folder / "varied", RECORDS, seed=6, workers=1, variety=Variety())
    return {mode: folder / mode for mode in ("default", "varied")}


@pytest.fixture
def copy(written, tmp_path) -> Path:
    return shutil.copytree(written["default"], tmp_path / "corpus")


def verdict(folder: Path, capsys) -> tuple[int, list[str]]:
    """Exit code, and the lines about recordings that are wrong."""
    try:
        main([str(folder)])
        code = 0
    except SystemExit as ended:
        code = ended.code
    lines = capsys.readouterr().out.splitlines()
    return code, [line for line in lines if line.startswith(("record ", "the corpus:"))]


def truths(folder: Path) -> list[dict]:
    return [json.loads(line) for line in (folder / "truth.jsonl").read_text().splitlines()]


def write_truths(folder: Path, rows: list[dict]) -> None:
    (folder / "truth.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))


def alter_json(path: Path, change) -> None:
    rows = json.loads(path.read_text())
    change(rows)
    path.write_text(json.dumps(rows))


def alter_table(path: Path, record: int, **cells: str) -> None:
    with path.open(newline="") as file:
        rows = list(csv.DictReader(file))
    rows[record - 1].update(cells)
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, rows[0])
        writer.writeheader()
        writer.writerows(rows)


def plain_sinus(rows: list[dict]) -> dict:
    """A recording in sinus rhythm that is not normal, without noise and extrasystoles."""
    return next(
        row
        for row in rows
        if row["rhythm"].startswith("sinus")
        and not row["noise"]
        and not row["ectopy"]
        and "normal ecg" not in row["findings"]
    )


def longer_qt(row: dict) -> None:
    """By 6 ms, which no measurement would notice."""
    stretch = 1 + 6 / row["intervals"]["qt interval"]
    for name in ("qt interval", "qt corrected"):
        row["intervals"][name] = round(row["intervals"][name] * stretch, 1)


def other_rate(row: dict) -> None:
    row["intervals"]["rr interval"] *= 1.5


def fibrillation(row: dict) -> None:
    row["rhythm"] = "atrial fibrillation"
    row["intervals"] |= {"p duration": None, "pr interval": None, "qt interval": None, "qt corrected": None}
    row["first_degree_av_block"] = False


def normal_and_abnormal(row: dict) -> None:
    row["findings"] = [*{*row["findings"], "abnormal ecg", "normal ecg"}]


def silent(row: dict) -> None:
    row["findings"] = []


def unknown_key(row: dict) -> None:
    row["diagnosis"] = "none"


def text_for_a_number(row: dict) -> None:
    row["intervals"]["qrs duration"] = "wide"


def noise_in_no_lead(row: dict) -> None:
    row["noise"] = {"baseline drift": ["V9"]}


@pytest.mark.parametrize("mode", ["default", "varied"])
def test_a_corpus_as_it_was_written_is_good(mode, written, capsys):
    assert verdict(written[mode], capsys) == (0, [])


@pytest.mark.parametrize(
    "alter",
    [
        longer_qt,
        other_rate,
        fibrillation,
        normal_and_abnormal,
        silent,
        unknown_key,
        text_for_a_number,
        noise_in_no_lead,
    ],
)
@pytest.mark.parametrize("version", [VERSION, VERSION - 1])  # of another version nothing can be drawn again
def test_a_row_altered_by_hand_is_named_even_without_its_signal(alter, version, copy, capsys, monkeypatch):
    monkeypatch.setattr(Measured, "add", lambda *_: None)
    rows = truths(copy)
    row = plain_sinus(rows)
    alter(row)
    write_truths(copy, rows)
    (copy / "corpus.json").write_text(json.dumps({"simulator_version": version, "records": RECORDS, "seed": 6}))
    code, lines = verdict(copy, capsys)
    assert code == 1 and any(line.startswith(f"record {row['record_id']}: ") for line in lines)


def test_a_wrong_row_of_a_varied_corpus_is_named(written, tmp_path, capsys):
    folder = shutil.copytree(written["varied"], tmp_path / "corpus")
    rows = truths(folder)
    rows[4]["codes"] = [*rows[4]["codes"], "LVOLT"]
    rows[6]["open"] = []
    rows[8]["measures"]["sokolow"] += 0.2
    write_truths(folder, rows)
    code, lines = verdict(folder, capsys)
    assert code == 1 and [line.split(":")[0] for line in lines] == ["record 5", "record 7", "record 9"]


@pytest.mark.parametrize("mode", ["default", "varied"])
def test_no_written_report_calls_an_ecg_normal_beside_an_interval_out_of_range(mode, written):
    reports = [row["report"] for path in (written[mode] / "reports").iterdir() for row in json.loads(path.read_text())]
    assert len(reports) == RECORDS and any("range" in text for text in reports)
    assert not [text for text in reports if "Normal ECG." in text and "range" in text]


def test_missing_additional_and_repeated_rows_are_named(copy, capsys):
    rows = truths(copy)
    write_truths(copy, [*rows[:6], *rows[7:], {**rows[2], "record_id": RECORDS + 1}, rows[2]])
    with (copy / "truth.jsonl").open("a") as file:
        file.write("{\n")
    code, lines = verdict(copy, capsys)
    assert code == 1
    for start in (
        "the corpus: truth.jsonl, line 22: no JSON object",
        "record 3: truth.jsonl has it again in line 21",
        "record 7: no row in truth.jsonl",
        f"record {RECORDS + 1}: truth.jsonl, line 20: the corpus has records 1 to {RECORDS}",
    ):
        assert any(line.startswith(start) for line in lines), start


def test_a_signal_that_is_not_the_truths_is_named(copy, capsys):
    """Though it is a recording of the same corpus: the rate and the regularity are another's."""
    rows = [row for row in truths(copy) if not row["noise"] and not row["ectopy"]]
    slow, fast = (pick(rows, key=lambda row: row["intervals"]["rr interval"]) for pick in (max, min))
    one, other = (copy / filename_hr(row["record_id"]) for row in (slow, fast))
    files = {
        path: (path.with_suffix(".dat").read_bytes(), path.with_suffix(".hea").read_text()) for path in (one, other)
    }
    for path, old in ((one, other), (other, one)):
        signal, header = files[old]
        path.with_suffix(".dat").write_bytes(signal)
        path.with_suffix(".hea").write_text(header.replace(old.name, path.name))
    code, lines = verdict(copy, capsys)
    assert code == 1 and len(lines) == 2
    for row, line in zip(sorted((slow, fast), key=lambda row: row["record_id"]), lines, strict=True):
        assert line.startswith(f"record {row['record_id']}: ") and ("in the signal" in line or "signal is" in line)


def test_a_missing_and_an_additional_signal_are_named(copy, capsys):
    first, last, new = (copy / filename_hr(record) for record in (1, RECORDS, RECORDS + 1))
    for suffix in (".hea", ".dat"):
        shutil.copy(last.with_suffix(suffix), new.with_suffix(suffix))
    first.with_suffix(".dat").unlink()
    code, lines = verdict(copy, capsys)
    assert code == 1 and lines[0].startswith("record 1: its signal cannot be read")
    assert lines[1:] == [f"record {RECORDS + 1}: a signal without a row in truth.jsonl"]


def test_tables_reports_and_answers_that_contradict_the_truth_are_named(copy, capsys):
    alter_table(copy / "ptbxl_database.csv", 2, scp_codes="{'AFLT': 0.0}")
    alter_table(copy / "measurements.csv", 4, rr_interval="777.7")
    asked = {}

    def flip(rows):
        row = next(row for row in rows if row["question_type"] == "single-verify")
        row["answer"] = ["no" if row["answer"] == ["yes"] else "yes"]
        asked["answer"] = row["ecg_id"][0]

    def claim(rows):
        row = next(row for row in rows if "Abnormal ECG." in row["report"])
        row["report"] += " Normal ECG."
        asked["report"] = row["ecg_id"]

    def compare(rows):
        rows[0]["answer"] = ["rr interval", "p duration", "pr interval", "none"]
        asked["comparison"] = rows[0]["ecg_id"][0]

    alter_json(copy / "questions/train.json", flip)
    alter_json(copy / "reports/train.json", claim)
    alter_json(copy / "comparisons/train.json", compare)
    code, lines = verdict(copy, capsys)
    assert code == 1
    for record, words in (
        (2, "ptbxl_database.csv is unlike the truth in scp_codes"),
        (4, "measurements.csv is unlike the truth in rr_interval"),
        (asked["answer"], "against the truth"),
        (asked["report"], "reports/train.json is unlike the truth in report"),
        (asked["comparison"], "against the truth"),
    ):
        assert any(line.startswith(f"record {record}: ") and words in line for line in lines), words


def test_what_is_no_corpus_is_refused_in_one_line(copy, tmp_path, capsys):
    with pytest.raises(UserError, match=r"corpus\.json: cannot be read"):
        main([str(tmp_path)])
    (copy / "measurements.csv").unlink()
    with pytest.raises(UserError, match=r"measurements\.csv: cannot be read"):
        main([str(copy)])
    (copy / "corpus.json").write_text('{"records": "many"}')
    with pytest.raises(UserError, match=r"corpus\.json: is damaged"):
        main([str(copy)])
    with pytest.raises(SystemExit) as ended:
        main([str(copy), "--seed", "1"])
    assert ended.value.code == 2 and "--seed is for recordings to draw" in capsys.readouterr().err

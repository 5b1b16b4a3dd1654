"""Tables of results for a paper."""

import csv
import io
import json
import subprocess
import sys
from collections import Counter

import pytest

from cardiolect.data_provider.texts.reasoning.loading import chain_of
from cardiolect.model.evaluation.paper_table import paper_table
from cardiolect.model.evaluation.reasoning.result import write_result as write_chains
from cardiolect.model.evaluation.reasoning.scores import AnsweredChain
from cardiolect.model.evaluation.result import RESULT, write_result
from cardiolect.model.evaluation.samples import PREDICTIONS
from cardiolect.utils.errors import UserError
from tests.helpers import ROOT
from tests.helpers.chains import positive
from tests.helpers.results import REFERENCES as REPORTS
from tests.helpers.results import SETTINGS, questions, samples_of

MADE_BY = {"checkpoint": {"fingerprint": "f00", "seed": 7}}


@pytest.fixture
def asked(tmp_path):
    """40 questions about 20 patients, 30 answered rightly with the ECG and 20 without."""
    folder = tmp_path / "run_1" / "qa"
    folder.mkdir(parents=True)
    samples = questions([k % 4 > 0 for k in range(40)], [k % 2 == 0 for k in range(40)])
    write_result(folder, samples, SETTINGS, MADE_BY)
    return folder


@pytest.fixture
def reported(tmp_path):
    folder = tmp_path / "run_1" / "report"
    folder.mkdir(parents=True)
    write_result(folder, samples_of("report", [(text,) for text in REPORTS], REPORTS), SETTINGS, MADE_BY)
    return folder


def test_a_row_has_the_score_its_floors_and_the_gap_with_intervals(asked):
    result = json.loads((asked / RESULT).read_text())
    ends = {
        name: "[{:.1f}, {:.1f}]".format(*(100 * end for end in found)) for name, found in result["ci95"]["em"].items()
    }
    gap = "[{:.1f}, {:.1f}]".format(*(100 * end for end in result["gap"]["ci95"]))
    head, _, first, *_ = paper_table([asked], "markdown").splitlines()
    assert head == "| result | score | n | with ECG | no ECG | gap |"
    assert first == f"| run_1/qa | exact match | 40 | 75.0 {ends['with_ecg']} | 50.0 {ends['no_ecg']} | +25.0 {gap} |"


def test_each_kind_of_result_has_its_own_table_and_a_note(asked, reported):
    latex = paper_table([asked, reported / RESULT], "latex")
    tables = latex.split("\n\n")
    assert [table.count("\\begin{tabular}") for table in tables] == [1, 1]
    assert "\nrun\\_1/qa & exact match & 40 & 75.0 [" in tables[0] and "content F1" not in tables[0]
    assert "\nrun\\_1/report & content F1 & 3 & 100.0" in tables[1] and " & sacreBLEU & 3 & 100.0 & " in tables[1]
    rows = [line for line in latex.splitlines() if line.endswith(r" \\")]
    assert {line.count(" & ") for line in rows} == {5} and all("%" not in line for line in rows)
    for table, name in zip(tables, ("qa: qa, 40", "report: report, 3"), strict=True):
        assert f"% run_1/{name} samples of " in table and "METRICS=strict; checkpoint f00; SEED=7" in table


def test_csv_has_a_line_for_every_figure_in_fractions_of_one(asked, reported):
    rows = list(csv.DictReader(io.StringIO(paper_table([asked, reported], "csv"))))
    found = {(row["result"], row["score"], row["condition"]): row for row in rows}
    assert len(found) == len(rows)
    exact = found["run_1/qa", "exact match", "with ECG"]
    assert float(exact["value"]) == 0.75 and float(exact["low"]) < 0.75 < float(exact["high"])
    assert float(found["run_1/qa", "exact match", "gap over no ECG"]["value"]) == 0.25
    assert found["run_1/report", "METEOR", "with ECG"]["low"] == "" and "3 samples of" in rows[-1]["note"]


def test_warnings_go_with_the_table_and_changed_predictions_have_none(asked):
    result = json.loads((asked / RESULT).read_text())
    result["seen"] = {"known": True, "samples": 6, "patients": 3}
    (asked / RESULT).write_text(json.dumps(result))
    for style in ("latex", "markdown", "csv"):
        assert "WARNING: Training has seen 3 of these 20 patients" in paper_table([asked], style)
    (asked / PREDICTIONS).write_text((asked / PREDICTIONS).read_text().replace("yes", "no", 1))
    with pytest.raises(UserError, match=r"another predictions\.jsonl"):
        paper_table([asked], "csv")


def test_reasoning_chains_have_their_scores_and_floors(tmp_path):
    def answered(number: int, right: bool) -> AnsweredChain:
        chain = chain_of(positive(number, number), Counter())
        answers = [step.answer for step in chain.steps]
        return AnsweredChain(
            chain, number, {"with_ecg": answers if right else [*answers[:-1], "?"], "no_ecg": ["?"] * len(answers)}
        )

    write_chains(tmp_path, [answered(1, True), answered(2, False)], SETTINGS, MADE_BY)
    table = paper_table([tmp_path], "markdown")
    assert "| Completion | 2 | 50.0 [0.0, 100.0] | 0.0 [0.0, 0.0] | +50.0 [0.0, 100.0] |" in table
    assert "| Depth, of 4 |" in table and "2 chains of 2 recordings, 2 patients; METRICS=strict" in table
    (tmp_path / PREDICTIONS).write_text((tmp_path / PREDICTIONS).read_text() + "\n")
    with pytest.raises(UserError, match=r"see run_eval\.py --check"):
        paper_table([tmp_path], "latex")


def test_run_eval_prints_the_table(asked):
    def run(*words: str) -> subprocess.CompletedProcess:
        return subprocess.run(
            [sys.executable, "run_eval.py", "--table", *words], cwd=ROOT, capture_output=True, text=True
        )

    assert run("latex", str(asked)).stdout == paper_table([asked], "latex") + "\n"
    for words in (("word", str(asked)), ("latex",)):
        assert (done := run(*words)).returncode == 2
        assert done.stderr.startswith("error: --table takes one of latex, markdown, csv, then results")

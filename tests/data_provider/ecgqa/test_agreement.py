"""The labels answer ECG-QA's published questions as ECG-QA does, or leave them open."""

import json
import subprocess
import sys

import pytest

from cardiolect.data_provider.corpora.ptbxl_database import LABEL_COLUMNS
from cardiolect.data_provider.ecgqa.agreement import main
from cardiolect.utils.errors import UserError
from tests.helpers import ROOT


def write_labels(folder, *rows):
    lines = [",".join(LABEL_COLUMNS)]
    for row in rows:
        lines.append(",".join(f'"{ {"strat_fold": 1, **row}.get(column, "") }"' for column in LABEL_COLUMNS))
    (folder / "ptbxl_database.csv").write_text("\n".join(lines) + "\n")


def question(template, text, attribute, answer, *ecg_ids):
    return {
        "template_id": template,
        "question_id": 1,
        "question": text,
        "attribute": attribute,
        "answer": [answer],
        "ecg_id": list(ecg_ids),
    }


def noise(lead, answer, ecg_id):
    return question(26, f"Does this ECG show static noise in lead {lead}?", ["static noise"], answer, ecg_id)


def nst(answer, ecg_id):
    return question(1, "Are there non-specific st changes?", ["non-specific st changes"], answer, ecg_id)


@pytest.fixture
def labels(tmp_path):
    write_labels(
        tmp_path,
        {"ecg_id": 1, "scp_codes": "{'NST_': 100.0, 'SR': 0.0}", "static_noise": "v1-2"},
        {"ecg_id": 2, "scp_codes": "{'NST_': 35.0, 'SR': 0.0}", "static_noise": "stark"},
        {"ecg_id": 3, "scp_codes": "{'SR': 0.0}"},
    )
    return tmp_path


def compared(labels, capsys, *items):
    (labels / "questions.json").write_text(json.dumps(items))
    main(["--labels", str(labels), "--questions", str(labels / "questions.json")])
    return capsys.readouterr().out.splitlines()


def test_every_template_gets_a_row_and_every_disagreement_its_option(labels, capsys):
    lines = compared(
        labels,
        capsys,
        nst("yes", 1),
        nst("not sure", 2),
        nst("yes", 3),
        noise("V2", "yes", 1),
        noise("V3", "yes", 1),
        noise("V3", "no", 2),
    )
    counts = {line.split()[0]: line.split()[2:6] for line in lines[1:3]}
    assert counts == {"1": ["3", "2", "1", "0"], "26": ["3", "1", "1", "1"]}
    assert lines[3].split() == ["all", "6", "3", "2", "1", "16.7"]
    assert "disagreement: template 1, non-specific st changes: ECG-QA yes, labels no: 1 (ecg 3)" in lines
    assert "disagreement: template 26, static noise in lead V3: ECG-QA yes, labels no: 1 (ecg 1)" in lines
    assert "left open: template 26, static noise in lead V3: ECG-QA no: 1 (ecg 2)" in lines


def test_what_is_not_compared_is_counted(labels, capsys):
    lines = compared(
        labels,
        capsys,
        nst("yes", 1),
        {**nst("yes", 1), "question": "Would you say there are non-specific st changes?"},
        nst("yes", 999),
        question(1, "Does this ECG show symptoms of dextrocardia?", ["dextrocardia"], "no", 3),
        question(68, "What features became normal?", None, "rr interval", 1, 2),
    )
    assert lines[1].split()[2:6] == ["1", "1", "0", "0"]
    assert "not compared: 1 repeated questions (other wordings, copies)" in lines
    assert "not compared: 1 questions about recordings that are not in the label table" in lines
    assert "not compared: 1 questions of template 1 about what is not derived here" in lines
    assert "not compared: 1 comparisons of two ECGs that are not in --recordings" in lines


@pytest.mark.parametrize("content", ["{", "{}", '[{"template_id": 1}]', "[3]", '[{"conversations": []}]'])
def test_files_that_are_not_ecg_qas_are_named(labels, content):
    (labels / "other.json").write_text(content)
    with pytest.raises(UserError, match=r"other\.json"):
        main(["--labels", str(labels), "--questions", str(labels / "other.json")])


def test_bad_input_is_one_line_and_exit_code_2(labels):
    command = [sys.executable, "-m", "cardiolect.data_provider.ecgqa.agreement", "--labels", str(labels)]
    done = subprocess.run([*command, "--questions", "nowhere"], capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 2
    assert done.stderr == "error: --questions: nowhere is neither a JSON file nor a folder with any\n"


def test_published_answers_are_met_wherever_the_labels_answer(shared_data, capsys):
    paths = [str(shared_data / name) for name in ("ecg-qa", "ecg-qa-more", "heartllm-json/ecgqa/ptbxl")]
    main(["--labels", str(shared_data / "ptb-xl-labels"), "--questions", *paths])
    rows = [line.split() for line in capsys.readouterr().out.splitlines()[1:5]]
    assert [(row[0], row[2]) for row in rows] == [("1", "345"), ("26", "669"), ("27", "116"), ("28", "400")]
    for template, _, n, _, disagree, left_open, _ in rows:
        assert disagree == "0" and int(left_open) <= 0.02 * int(n), template

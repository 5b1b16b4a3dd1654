"""The quickstart's own env files, from simulated recordings to its summary, and the README's snippets, in miniature."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from cardiolect.model.cli.commands import main
from cardiolect.model.evaluation.choices import answer_lists
from tests.helpers import ROOT

SMALL = {
    "STEPS": "4",
    "MAX_STEPS": "2",
    "EVAL_STEPS": "2",
    "MAX_VALID": "4",
    "MAX_TRAIN": "24",
    "MAX_SAMPLES": "12",
    "MAX_NEW_TOKENS": "4",
    "HIDDEN": "16",
    "TINY_LAYERS": "1",
    "TINY_HIDDEN": "32",
    "TINY_HEADS": "2",
    "WORKERS": "0",
}


@pytest.fixture(scope="module")
def pipeline(tmp_path_factory, corpus) -> Path:
    """All stages of the quickstart by its scripts and env files; the folder that holds their outputs."""
    out = tmp_path_factory.mktemp("pipeline")
    questions, reports = corpus / "questions", corpus / "reports"
    paths = {
        "DATA_ROOT": corpus,
        "CACHE_DIR": out / "cache",
        "TOKENIZER_PATH": out / "tokenizer",
        "TINY_CORPUS": f"{questions / 'train.json'},{reports / 'train.json'}",
        "MEASUREMENTS_DATA": corpus / "measurements.csv",
    }

    def both(split: str) -> str:
        return f"{questions / split}.json,{reports / split}.json"

    stages = [
        (["bash", "ecg_tokenizer/run_tokenizer.sh", "env/quickstart/tokenizer.env"], "tokenizer", {}),
        (["bash", "pretrain.sh", "env/quickstart/pretrain.env"], "pretrain", {}),
        (
            ["bash", "finetune.sh", "env/quickstart/finetune.env"],
            "llm",
            {"TRAIN_DATA": both("train"), "VALID_DATA": both("valid"), "CHECKPOINT": out / "pretrain"},
        ),
        (
            ["bash", "eval.sh", "env/quickstart/test_qa.env"],
            "qa",
            {"TEST_DATA": questions / "test.json", "CHECKPOINT": out / "llm"},
        ),
        (
            [sys.executable, "-m", "cardiolect", "eval", "env/quickstart/test_report.env"],
            "report",
            {"TEST_DATA": reports / "test.json", "CHECKPOINT": out / "llm"},
        ),
        (
            [sys.executable, "-m", "cardiolect", "summary", "env/quickstart/summary.env"],
            "results",
            {"QA_RESULTS": out / "qa", "REPORT_RESULTS": out / "report", "STAGE_SECONDS": ""},
        ),
    ]
    for command, name, values in stages:
        lines = {**paths, **SMALL, **values, "OUTPUT_DIR": out / name}
        environment = {**os.environ, "PYTHON": sys.executable, **{k: str(v) for k, v in lines.items()}}
        if name == "results":
            environment.pop("STAGE_SECONDS")
            command[-1] = str(out / "summary.env")
            text = (ROOT / "env/quickstart/summary.env").read_text()
            Path(command[-1]).write_text(re.sub(r"STAGE_SECONDS=.*", "", text))
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, env=environment)
        assert done.returncode == 0, f"{name}: {done.stderr[-2000:]}"
    return out


def test_the_quickstarts_summary_has_its_keys_and_pictures(pipeline):
    results = pipeline / "results"
    summary = json.loads((results / "summary.json").read_text())
    assert {"prdn", "codes_used", "codebook_size", "entropy_bits", "tokens_per_second_of_ecg"} <= set(
        summary["tokenizer"]
    )
    qa = {"em", "em_by_type", "em_no_ecg", "em_other_ecg", "em_majority", "gap", "gap_ci95"}
    assert qa <= set(summary["qa"]) and len(summary["qa"]["gap_ci95"]) == 2
    words = {"f1", "sacrebleu", "chrf", "meteor", "rouge1", "rouge2", "rougeL", "finding_f1"}
    assert words <= set(summary["report"]) and words <= set(summary["report"]["no_ecg"])
    for picture in ("ecg.png", "scores.png"):
        assert (results / picture).read_bytes().startswith(b"\x89PNG")


def test_a_checkpoint_keeps_what_answers_its_training_questions_had(pipeline):
    info = json.loads((pipeline / "llm" / "cardiolect.json").read_text())
    lists = answer_lists(pipeline / "llm", info)
    assert ["yes"] in map(list, lists.by_type["single-verify"]) and lists.by_template


def test_an_export_knows_all_stages_and_results(pipeline, tmp_path):
    results = [str(pipeline / task) for task in ("qa", "report")]
    main(["export", str(pipeline / "llm"), "--results", *results, "--out", str(tmp_path / "model")])
    card = (tmp_path / "model/README.md").read_text()
    stages = re.findall(r"^\| (\w+) \| corpus \(seed \d+\) \| MIT \| simulated by Cardiolect \|$", card, re.MULTILINE)
    assert stages == ["tokenizer", "pretrain", "finetune"] and "unknown" not in card.split("## Training")[1]
    assert "### Questions on corpus" in card and "### Reports on corpus" in card
    assert card.count("\nSignal-use gap of") == 3 and str(pipeline) not in card


def test_the_readmes_snippets_run(pipeline, corpus):
    pages = "".join((ROOT / page).read_text() for page in ("README.md", "docs/SERVING.md"))
    code = "\n".join(re.findall(r"```python\n(.*?)```", pages, flags=re.DOTALL))
    code = code.replace("ECGChat.from_pretrained()", f"ECGChat.from_pretrained({str(pipeline / 'llm')!r})")
    assert "ECGTokenizer.from_pretrained" in code and "AutoModelForCausalLM" in code
    for path, stand_in in {
        "data/quickstart/corpus": corpus,
        "checkpoints/quickstart/tokenizer": pipeline / "tokenizer",
        "checkpoints/quickstart/llm": pipeline / "llm",
    }.items():
        code = code.replace(path, str(stand_in))
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]


def test_every_script_and_env_file_the_readme_names_exists():
    readme = (ROOT / "README.md").read_text()
    for path in re.findall(r"(?:env/[\w/]+\.env|[\w/]+\.sh\b|docs/\w+\.md)", readme):
        assert (ROOT / path).exists(), path

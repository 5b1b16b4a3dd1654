"""The command that compares representations: one end to end, one that fails, and what is not run twice."""

import json
import re
import shutil
from pathlib import Path
from types import SimpleNamespace

import pytest

from cardiolect.model.comparison import command, run
from cardiolect.model.comparison.plan import read_plans
from cardiolect.model.comparison.run import Record, StageError, finished, run_stage
from cardiolect.model.comparison.table import fixed_width, markdown, notes, rows_of
from cardiolect.utils.errors import UserError
from tests.helpers import ROOT

LLM = {
    "LLM_PATH": "tiny",
    "TUNING": "full",
    "TINY_VOCABULARY": 400,
    "TINY_LAYERS": 1,
    "TINY_HIDDEN": 32,
    "TINY_HEADS": 2,
}
SHORT = {"MAX_STEPS": 2, "EVAL_STEPS": 2, "MAX_TRAIN": 24, "MAX_VALID": 4, "LEARNING_RATE": 1e-3}


def write_env_files(folder: Path, corpus: Path, out: Path) -> Path:
    """Env files of patches, and of codes whose first stage fails: its crops are too short."""
    data = {"DATA_ROOT": corpus, "WORKERS": 0, "CACHE_DIR": out / "cache"}
    texts = {
        f"{split.upper()}_DATA": f"{corpus}/questions/{split}.json,{corpus}/reports/{split}.json"
        for split in ("train", "valid")
    }
    test = {"FLOORS": "no_ecg,other_ecg", "MAX_NEW_TOKENS": 4, "BOOTSTRAP_RESAMPLES": 20, "PAGE_EXAMPLES": 0}
    for name in ("patches", "codes"):
        tokenizer, llm = {"TOKENIZER_PATH": out / name / "tokenizer"}, {"CHECKPOINT": out / name / "llm"}
        pretrained = {"CHECKPOINT": out / name / "pretrain"}
        files = {
            "tokenizer": {"REPRESENTATION": name, **data},
            "finetune": {**data, **texts, **SHORT, "TASKTYPE": "all", "TUNING": "full"},
            "test_qa": {**data, **test, **llm, "TASKTYPE": "qa", "TEST_DATA": corpus / "questions/test.json"},
            "test_report": {**data, **test, **llm, "TASKTYPE": "report", "TEST_DATA": corpus / "reports/test.json"},
        }
        files["test_qa"]["MAX_SAMPLES"] = files["test_report"]["MAX_SAMPLES"] = 8
        if name == "patches":
            files["tokenizer"]["PATCH_MS"] = 200
            files["finetune"] |= {**LLM, **tokenizer}
        else:
            files["tokenizer"]["CROP_SECONDS"] = 0.01
            files["pretrain"] = {**data, **LLM, **SHORT, **tokenizer, "TINY_CORPUS": texts["TRAIN_DATA"]}
            files["pretrain"]["OUTPUT_DIR"] = out / name / "pretrain"
            files["finetune"] |= pretrained
        for stage, lines in files.items():
            outputs = {"finetune": "llm", "test_qa": "qa", "test_report": "report"}
            lines["OUTPUT_DIR"] = out / name / outputs.get(stage, stage)
            (folder / name).mkdir(parents=True, exist_ok=True)
            (folder / name / f"{stage}.env").write_text("".join(f"{k}={v}\n" for k, v in lines.items()))
    # A new model learns its words from these, whichever stage begins it.
    with (folder / "patches/finetune.env").open("a") as file:
        file.write(f"TINY_CORPUS={texts['TRAIN_DATA']}\n")
    return folder


@pytest.fixture(scope="module")
def compared(tmp_path_factory, corpus) -> SimpleNamespace:
    """Both representations through the command; its env files, tables and exit code."""
    out = tmp_path_factory.mktemp("compared")
    env, tables = write_env_files(out / "env", corpus, out), out / "tables"
    with pytest.MonkeyPatch.context() as patch, pytest.raises(SystemExit) as ended:
        patch.setenv("OMP_NUM_THREADS", "1")
        patch.chdir(ROOT)
        command.main([str(env), "--out", str(tables)])
    return SimpleNamespace(env=env, tables=tables, code=ended.value.code)


@pytest.mark.timeout(600)
def test_a_representation_that_fails_leaves_the_others_their_columns(compared):
    table = json.loads((compared.tables / "table.json").read_text())["representations"]
    assert compared.code == 1 and list(table) == ["codes", "patches"]
    assert table["codes"]["failed"] == "tokenizer" and "CROP_SECONDS: " in table["codes"]["why"]
    found = table["patches"]
    assert found["ecgs"]["tokens"] == {"median": 50, "min": 50, "max": 50}
    assert found["ecgs"]["leads"]["min"] == 12 and found["ecgs"]["seconds"]["median"] == 10
    assert not found["stock_model"] and found["distortion"] is None and found["parameters"] > 1000
    for name, score in (("test_qa", "em"), ("test_report", "content_f1")):
        scores = found["scores"][name]
        assert scores["score"] == score and {"gap", "gap_ci95", "best_floor", "floor"} <= set(scores)
        assert scores["answer_seconds"] > 0
    assert (
        found["seconds"]["finetune"] > 1
        and found["cpu_seconds"]["finetune"] > 1
        and found["peak_bytes"]["finetune"] > 100e6
    )
    text = (compared.tables / "table.txt").read_text()
    assert "codes failed: tokenizer: error: " in text and "12 leads, 10.0 s" in text
    assert len({len(line) for line in text.split("\n\n")[0].splitlines()}) == 1
    assert (compared.tables / "table.md").read_text().startswith("|  | codes | patches |\n| --- | --- | --- |\n")


def test_data_that_is_not_there_is_found_before_anything_runs(tmp_path, corpus):
    env = write_env_files(tmp_path / "env", corpus, tmp_path)
    missing = corpus / "questions/derived.json"
    for name in ("codes", "patches"):
        with (env / name / "finetune.env").open("a") as file:
            file.write(f"TEST_DATA={missing}\n")
    with pytest.raises(UserError, match=rf"codes/finetune.env: TEST_DATA: {missing} does not exist"):
        command.compare(env, out=tmp_path / "tables")
    assert not (tmp_path / "patches").exists()


def test_what_is_done_is_not_run_again(compared, monkeypatch, capsys):
    def never(*_, **__):
        raise AssertionError("a stage was started")

    monkeypatch.setattr(run.subprocess, "Popen", never)
    before = json.loads((compared.tables / "table.json").read_text())["representations"]["patches"]
    command.main([str(compared.env), "--only", "patches", "--out", str(compared.tables)])
    printed = capsys.readouterr().out
    assert printed.count("done before with the same settings") == 4
    assert json.loads((compared.tables / "table.json").read_text())["representations"] == {"patches": before}


def test_other_settings_run_a_stage_and_those_after_it(compared, tmp_path, monkeypatch):
    env, tables, started = tmp_path / "env", tmp_path / "tables", []
    shutil.copytree(compared.env / "patches", env / "patches")
    shutil.copytree(compared.tables, tables)

    def interrupted(stage, folder, after):
        """Runs nothing; Ctrl-C in the evaluation of reports."""
        started.append(stage.name)
        if stage.name == "test_report":
            raise KeyboardInterrupt
        record = Record(stage.settings.model_dump(mode="json"), "new", after, 1.0, 1.0, 1, True)
        record.write(folder / f"{stage.name}.json")
        return record

    monkeypatch.setattr(command, "run_stage", interrupted)
    for name, line, expected in (
        ("test_report", "PRECISION=bf16", ["test_report"]),
        ("finetune", "SEED=7", ["finetune", "test_qa", "test_report"]),
        ("test_report", "", ["test_report"]),  # still: what it begins with is new
    ):
        with (env / f"patches/{name}.env").open("a") as file:
            file.write(line + "\n")
        if not line:
            shutil.copy(compared.env / "patches/test_report.env", env / "patches")
        with pytest.raises(KeyboardInterrupt):
            command.main([str(env), "--out", str(tables)])
        assert started == expected
        started.clear()


def test_an_interrupted_stage_goes_on(compared, tmp_path, monkeypatch):
    stage = read_plans(compared.env, ["patches"])[0].stage("finetune")
    environments, code = [], 0

    def started(words, env, stdout, stderr):
        environments.append(env.get("RESUME"))
        stdout.write(b"a line\nTraceback\rthe reason\n\n")
        return SimpleNamespace(pid=0)

    monkeypatch.setattr(run.subprocess, "Popen", started)
    monkeypatch.setattr(run, "_wait", lambda process, save, log: (code, run.Used(3.0, 5)))
    monkeypatch.delenv("RESUME", raising=False)
    settings = stage.settings.model_dump(mode="json")
    for after, resumes, seconds in ((["a"], "true", 100), (["b"], "false", 0)):
        Record(settings, "one", ["a"], 100.0, 50.0, 9).write(tmp_path / "finetune.json")
        (stage.output_dir / "resume").mkdir(exist_ok=True)
        record = run_stage(stage, tmp_path, after)
        assert environments.pop() == resumes and seconds <= record.seconds < seconds + 10
        assert (record.cpu_seconds, record.peak_bytes) == ((53, 9) if resumes == "true" else (3, 5))
        assert (record.run == "one") == (after == ["a"])
        assert finished(stage, tmp_path, after) == record and finished(stage, tmp_path, ["c"]) is None
    code = 2
    with pytest.raises(StageError, match="the reason"):
        run_stage(stage, tmp_path, [])
    assert finished(stage, tmp_path, []) is None


@pytest.mark.parametrize(
    ("file", "line", "message"),
    [
        ("finetune", "MAX_TRAIN=23", "patches and codes do not compare: MAX_TRAIN is 23 and 24"),
        ("test_qa", "FLOORS=none", "patches and codes do not compare: FLOORS is "),
        ("finetune", "TINY_HIDDEN=64", "patches and codes do not compare: TINY_HIDDEN is 64 and 32"),
        ("test_qa", "CHECKPOINT=elsewhere", r"test_qa\.env: CHECKPOINT must be the OUTPUT_DIR of .*finetune\.env"),
        ("finetune", "TOKENIZER_PATH=elsewhere", r"finetune\.env: TOKENIZER_PATH must be the OUTPUT_DIR of .*token"),
        ("tokenizer", "PATCH_MS=fast", r"tokenizer\.env: PATCH_MS: "),
        ("finetune", "MAX_STEP=3", r"finetune\.env: unknown key MAX_STEP; did you mean MAX_STEPS"),
    ],
)
def test_what_does_not_compare_is_refused_before_anything_runs(compared, tmp_path, file, line, message):
    env = shutil.copytree(compared.env, tmp_path / "env")
    path = env / f"patches/{file}.env"
    key = line.partition("=")[0]
    path.write_text(re.sub(rf"^{key}=.*\n", "", path.read_text(), flags=re.MULTILINE) + line + "\n")
    with pytest.raises(UserError, match=message):
        read_plans(env)


def test_a_folder_or_a_name_that_is_not_there_is_one_line(compared, tmp_path):
    for folder, only, message in (
        (tmp_path / "none", [], "no such folder"),
        (tmp_path, [], "no representation here"),
        (compared.env, ["rvq"], "no rvq in .*; there are codes, patches"),
    ):
        with pytest.raises(UserError, match=message):
            read_plans(folder, only)


@pytest.mark.parametrize(
    ("name", "representations"),
    [
        (
            "quickstart",
            ["codes", "codes_retrieval", "bpe", "captions", "contrastive", "masked", "supervised", "patches"],
        ),
        ("real", ["codes", "bpe", "patches"]),
    ],
)
def test_the_comparisons_of_this_project_compare_like_with_like(name, representations, monkeypatch):
    monkeypatch.chdir(ROOT)
    for key in ("WORKERS", "CACHE_DIR"):
        monkeypatch.delenv(key, raising=False)
    plans = read_plans(ROOT / "env/compare" / name)
    assert [plan.name for plan in plans] == representations
    assert all(
        str(stage.output_dir).split("/")[:4][1:4] == ["compare", name, plan.name]
        for plan in plans
        for stage in plan.stages
    )
    assert len({plan.stage("finetune").settings.max_steps for plan in plans}) == 1


def test_tables_of_failures_alone_can_be_written():
    rows = rows_of({"codes": {"failed": "pretrain", "why": "no memory"}})
    assert rows == [["", "codes"], ["failed", "pretrain"]]
    assert fixed_width(rows, ["x"]) == "           codes\nfailed  pretrain\n\nx\n"
    assert markdown(rows, []) == "|  | codes |\n| --- | --- |\n| failed | pretrain |\n"


def test_columns_that_were_scored_on_different_samples_are_pointed_out():
    """A stage that has seen other recordings leaves other samples out of the evaluation."""

    def column(samples: int, texts: str) -> dict:
        scores = {"samples": samples, "samples_fingerprint": texts, "context_fingerprint": "c"}
        return {"scores": {"test_qa": scores}}

    alike = {"codes": column(5, "a"), "bpe": column(5, "a"), "patches": {"failed": "pretrain", "why": "no memory"}}
    assert notes(alike, {}) == ["patches failed: pretrain: no memory"]
    differ = {"codes": column(5, "a"), "bpe": column(3, "b")}
    assert notes(differ, {}) == [
        "test_qa: not scored on the same samples (codes 5, bpe 3): these scores cannot be compared"
    ]

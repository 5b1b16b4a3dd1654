"""Train on X, test on Y: one grid of several results."""

import csv
import io
import json
import sys

import pytest

import run_eval
from cardiolect.model.evaluation.result import RESULT, write_result
from cardiolect.model.evaluation.samples import fingerprint
from cardiolect.model.evaluation.transfer import grid_figure, grid_table, transfer
from cardiolect.utils.errors import UserError
from tests.helpers.results import SETTINGS, questions


@pytest.fixture
def evaluated(tmp_path):
    """A function: the folder of a result of 40 questions, of which every n-th is answered rightly with the ECG."""

    def write(name: str, trained: str, tested: str, every: int = 2, floor: str = "no_ecg", count: int = 40, **settings):
        folder = tmp_path / name
        folder.mkdir()
        samples = questions([k % every == 0 for k in range(count)], [k % 5 == 0 for k in range(count)])
        for sample in samples:
            sample.predictions[floor] = sample.predictions.pop("no_ecg")
        stages = [{"stage": stage, "name": trained, "version": ""} for stage in ("tokenizer", "finetune")]
        provenance = {
            "checkpoint": {"fingerprint": f"f-{trained}", "seed": 7, "corpora": stages},
            "data": {
                "corpora": [{"name": tested, "version": "1.0", "citation": ""}],
                "texts_fingerprint": fingerprint(samples),
                "context_fingerprint": "c",
            },
        }
        write_result(folder, samples, SETTINGS | {"test_data": [f"/data/{tested}/qa/test.json"]} | settings, provenance)
        return folder

    return write


def changed(folder, key: str, value) -> None:
    """Give a result another value at a dotted key."""
    result = json.loads((folder / RESULT).read_text())
    *above, last = key.split(".")
    inside = result
    for each in above:
        inside = inside[each]
    inside[last] = value
    (folder / RESULT).write_text(json.dumps(result))


def test_a_cell_has_score_floor_and_gap_and_one_without_a_result_says_so(evaluated):
    paths = [evaluated("a", "x", "x", 1), evaluated("b", "y", "x", 2), evaluated("c", "y", "y", 4)]
    grid = transfer(paths)
    assert grid["trained_on"] == ["x", "y"] and grid["tested_on"] == ["x 1.0: qa/test.json", "y 1.0: qa/test.json"]
    assert [(cell["value"], cell["floor"], cell["gap"]) for cell in grid["cells"]] == [
        (1.0, 0.2, pytest.approx(0.8)),
        (0.5, 0.2, pytest.approx(0.3)),
        (0.25, 0.2, pytest.approx(0.05)),
    ]
    assert grid["empty"] == [["y 1.0: qa/test.json", "x"]]
    head, _, first, second, *notes = grid_table(grid, "markdown").splitlines()
    assert head == "| tested on | trained on x | trained on y |"
    result = json.loads((paths[1] / RESULT).read_text())
    ends = [
        "[{:.1f}, {:.1f}]".format(*(100 * end for end in e))
        for e in (result["ci95"]["em"]["with_ecg"], result["gap"]["ci95"])
    ]
    assert first.endswith(f" | 50.0 {ends[0]}; gap +30.0 {ends[1]} |")
    assert second.startswith("| y 1.0: qa/test.json | no result | 25.0 [")
    assert "- no result: trained on x, tested on y 1.0: qa/test.json" in notes
    assert any("best floor 20.0 (no ECG); checkpoint f-y, SEED=7" in note for note in notes)
    latex = grid_table(grid, "latex")
    assert r"\begin{tabular}{lrr}" in latex and r"y 1.0: qa/test.json & no result & 25.0 [" in latex
    rows = list(csv.DictReader(io.StringIO(grid_table(grid, "csv"))))
    assert [row["value"] for row in rows] == ["1.0", "0.5", "0.25", ""] and rows[-1]["score"] == "no result"
    texts = [text.get_text() for text in grid_figure(grid).axes[0].texts]
    assert sum(text.startswith("25.0 [") for text in texts) == 1 and "no result" in texts


def test_what_does_not_belong_on_a_row_is_refused(evaluated):
    first = evaluated("a", "x", "x")
    for number, (what, words) in enumerate(
        (
            ({"count": 38}, "both tested on x 1.0: qa/test.json, but they are not about the same questions"),
            ({"floor": "noise"}, "have other floors"),
            ({"metrics": "heartllm"}, "different METRICS, strict and heartllm"),
        )
    ):
        with pytest.raises(UserError, match=words):
            transfer([first, evaluated(f"other {number}", "y", "x", **what)])
    other = evaluated("background", "y", "x")
    changed(other, "data.context_fingerprint", "d")
    with pytest.raises(UserError, match="other texts around the questions"):
        transfer([first, other])
    with pytest.raises(UserError, match=r"the same checkpoint, both tested on x 1\.0: qa/test\.json; give one"):
        transfer([first, evaluated("again", "x", "x", 4)])


def test_two_checkpoints_of_the_same_corpora_have_a_column_each(evaluated):
    paths = [evaluated("a", "x", "x", 1), evaluated("b", "x", "x", 2), evaluated("c", "x", "y", 4)]
    changed(paths[1], "checkpoint.fingerprint", "0123456789")
    grid = transfer(paths)
    assert grid["trained_on"] == ["x (checkpoint f-x)", "x (checkpoint 01234567)"]
    assert grid["empty"] == [["y 1.0: qa/test.json", "x (checkpoint 01234567)"]]


def test_a_result_without_floors_or_training_data_is_refused(evaluated):
    folder = evaluated("old", "x", "x")
    changed(folder, "checkpoint.corpora", [])
    with pytest.raises(UserError, match="does not say which corpora its checkpoint was trained on"):
        transfer([folder])
    folder = evaluated("bare", "x", "x", floor="reversed_leads")
    with pytest.raises(UserError, match="has no floors and so no gap"):
        transfer([folder])


def test_stages_of_different_corpora_are_named_and_patients_that_training_has_seen_marked(evaluated):
    folder = evaluated("a", "x", "x")
    stages = [("tokenizer", "sim"), ("pretrain", "sim"), ("finetune", "x"), ("finetune", "sim")]
    changed(folder, "checkpoint.corpora", [{"stage": s, "name": name, "version": ""} for s, name in stages])
    changed(folder, "seen", {"known": True, "samples": 6, "patients": 3})
    grid = transfer([folder])
    assert grid["trained_on"] == ["sim, x (finetune)"]
    table = grid_table(grid, "markdown")
    assert "| 50.0! [" in table and "WARNING (!): Training has seen 3 of these 20 patients" in table


def test_run_eval_prints_the_grid_and_writes_figures_or_a_picture(evaluated, tmp_path, monkeypatch, capsys):
    folder = evaluated("a", "x", "x")

    def run(mode: str, *words) -> str:
        monkeypatch.setattr(sys, "argv", ["run_eval.py", mode, "markdown", str(folder), *map(str, words)])
        run_eval.main()
        return capsys.readouterr().out

    assert run("--grid", "--out", tmp_path / "new/grid.json") == grid_table(transfer([folder]), "markdown") + "\n"
    assert json.loads((tmp_path / "new/grid.json").read_text()) == transfer([folder])
    run("--grid", "--out", tmp_path / "grid.png")
    assert (tmp_path / "grid.png").read_bytes().startswith(b"\x89PNG")
    with pytest.raises(UserError, match=r"--out: .*grid\.xyz"):
        run("--grid", "--out", tmp_path / "grid.xyz")
    with pytest.raises(SystemExit, match="2"):
        run("--table", "--out", tmp_path / "x.json")
    assert "--out needs --rescore, --compare, --seeds or --grid" in capsys.readouterr().err

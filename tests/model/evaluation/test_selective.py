"""A result says how accurate its surest answers are."""

import json
from dataclasses import replace

from cardiolect.model.evaluation.page import render_page
from cardiolect.model.evaluation.result import check_result, write_result
from tests.helpers.results import SETTINGS, samples_of


def test_tables_page_and_check_have_the_surest_answers(tmp_path):
    asked = samples_of("qa", [("yes",)] * 10, ["yes"] * 8 + ["no"] * 2)
    asked = [
        replace(
            s, question_type="single-verify" if i % 2 else "single-query", probabilities={"with_ecg": 0.99 - i / 30}
        )
        for i, s in enumerate(asked)
    ]
    asked[9] = replace(asked[9], cut_off=("with_ecg",))
    result = json.loads(json.dumps(write_result(tmp_path, asked, SETTINGS, {})))
    assert {name: found["n"] for name, found in result["selective"].items()} == {"all": 9, "yes_or_no": 4}
    assert result["selective"]["all"]["at"]["0.8"]["accuracy"] == 1.0
    assert "accuracy of the surest answers" in (tmp_path / "scores.txt").read_text()
    assert "Selective answers" in render_page(result) and check_result(tmp_path) == []
    result["selective"]["all"]["aurc"] = 0.0
    (tmp_path / "result.json").write_text(json.dumps(result))
    assert any("aurc" in line for line in check_result(tmp_path))

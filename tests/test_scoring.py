import json
from types import SimpleNamespace

import pytest

from model.scoring import score, scores_table
from model.settings import EvalSettings
from utils.metrics import DEFINITIONS, definition

PREDICTIONS = ["sinus rhythm.left bundle branch block", "atrial fibrillation", "normal ecg"]
REFERENCES = ["sinus rhythm.complete left bundle branch block", "atrial fibrillation.low voltage", "Normal ECG."]


def scored(name, tasktype, answers, texts):
    """The scores of an evaluation with METRICS=``name``, and of one that says nothing without the ECG."""
    settings = EvalSettings.model_construct(
        tasktype=tasktype, metrics=name, bootstrap_resamples=20, seed=0, data_root=["a", "b"]
    )  # fmt: skip
    examples = [
        SimpleNamespace(
            question="which lead?", answers=gold, question_type="single-query", attribute_type="", template_id=1,
            provenance="given", record_ids=[index], patients=(f"patient {index}",),
        )
        for index, gold in enumerate(answers)
    ]  # fmt: skip
    return score(examples, {"with_ecg": texts, "no_ecg": ["", *texts[1:]]}, {}, settings, {})


def test_answers_are_right_by_the_definition_that_is_set():
    answers, texts = [("V1", "V2"), ("V3",)], ["v2. v1", "V3"]
    assert scored("heartllm", "qa", answers, texts)["conditions"]["with_ecg"]["em"] == 0.5
    strict = scored("strict", "qa", answers, texts)
    assert strict["conditions"]["with_ecg"]["em_by_type"]["single-query"] == {"em": 1, "n": 2}
    assert (strict["metrics"]["name"], strict["gap"]["value"]) == ("strict", 0.5)
    bench = scored("ecg-bench", "qa", answers, texts)["conditions"]
    assert bench["no_ecg"]["em"] == bench["no_ecg"]["acc"] == 0.5 and bench["no_ecg"]["acc_nonempty"] == 1


@pytest.mark.parametrize("name", DEFINITIONS)
def test_every_score_of_a_definition_is_printed(name):
    for tasktype in ("qa", "report"):
        result = scored(name, tasktype, [(text,) for text in REFERENCES], PREDICTIONS)
        table = scores_table(json.loads(json.dumps(result)))
        expected = definition(name).score_texts(PREDICTIONS, REFERENCES)
        if tasktype == "report":
            assert result["conditions"]["with_ecg"] == expected.values
            assert all(f"\n{key} " in table for key in expected.values) and "meteor: synonyms from" in table
        assert f"METRICS={name}" in table and "signal-use gap" in table

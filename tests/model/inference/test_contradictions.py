"""A report and the answers of the same model that contradict it."""

import pytest

from cardiolect.model.inference.chat import ECGChat, Judgement
from cardiolect.model.inference.contradictions import contradictions, differences
from cardiolect.utils.errors import UserError

REPORT = "Sinus rhythm. Complete right bundle branch block. Left ventricular hypertrophy."


@pytest.mark.parametrize(
    ("judged", "lines"),
    [
        ({"PVC": Judgement("yes", 0.92, True)}, ["not in the report, but asked about it the answer is yes (92 %)"]),
        ({"PVC": Judgement("yes", 0.92, False)}, []),  # an unsure answer contradicts nothing
        ({"PVC": Judgement("no", 0.99, True)}, []),
        ({"CRBBB": Judgement("yes", 0.92, True), "IRBBB": Judgement("yes", 0.8, True)}, []),
        ({"CRBBB": Judgement("no", 0.999, True)}, ["in the report, but asked about it the answer is no (99 %)"]),
        ({"STACH": Judgement("yes", 0.9, True)}, []),  # a fast sinus rhythm is one
        ({"VCLVH": Judgement("yes", 0.9, True)}, []),  # the report says the same in other words
    ],
)
def test_only_sure_answers_that_say_the_opposite_are_told(judged, lines):
    assert [line.split(": ")[0] for line in differences(REPORT, judged)] == lines


def test_a_denied_finding_may_be_denied_in_the_answer_too():
    assert differences("No atrial fibrillation.", {"AFIB": Judgement("no", 0.99, True)}) == []
    assert differences("No atrial fibrillation.", {"AFIB": Judgement("yes", 0.99, True)})


def test_the_shipped_model_is_asked_all_its_findings_at_once():
    chat = ECGChat.from_pretrained(device="cpu")
    ecg, trained = chat.read("example"), list(chat.calibration.questions)
    some = trained[:40]
    together = chat.judge_all(ecg, some)
    for question, judged in list(zip(some, together, strict=True))[::13]:
        alone = chat.judge(ecg, question)
        assert judged == (alone.answer, pytest.approx(alone.probability, abs=1e-4), alone.sure, alone.others)
    assert chat.judge([ecg, ecg], some[0]).sure is None, "the calibration is about one ECG"
    with pytest.raises(UserError, match="one ECG, or about two to compare, not 3"):
        chat.judge([ecg] * 3, some[0])
    with pytest.raises(UserError, match="takes a list"):
        chat.judge_all(ecg, some[0])
    denied = contradictions(chat, ecg, "Sinus rhythm.", trained)
    assert any(line.endswith(": atrial fibrillation") for line in denied)
    assert not any("fibrillation" in line for line in contradictions(chat, ecg, "Atrial fibrillation.", trained))

"""The page of a result is self-contained, correct, and safe for any output of a model."""

import re
from dataclasses import replace
from html.parser import HTMLParser

import numpy as np
import pytest

from cardiolect.data_provider.record import LEADS
from cardiolect.model.evaluation.card import model_card
from cardiolect.model.evaluation.examples import choose
from cardiolect.model.evaluation.page import PageExample, render_page
from cardiolect.model.evaluation.result import read_result, write_result
from cardiolect.model.evaluation.tables import balanced_accuracy, scores_table
from cardiolect.utils.plots import draw_ecg_paper
from tests.helpers.results import PREDICTIONS, REFERENCES, SETTINGS, samples_of

ATTACK = '</td><script>alert("1")</script><img src=http://example.org/x onerror=alert(1)>'


class Parts(HTMLParser):
    """Tags and their attributes; fails if tags are not nested."""

    def __init__(self):
        super().__init__()
        self.open, self.tags, self.attributes, self.text = [], [], [], ""

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += attrs
        if tag not in ("meta", "img", "br"):
            self.open.append(tag)

    def handle_endtag(self, tag):
        if tag not in ("meta", "img", "br"):
            assert self.open.pop() == tag

    def handle_data(self, data):
        self.text += data


def parts_of(page: str) -> Parts:
    parts = Parts()
    parts.feed(page)
    assert parts.open == []
    return parts


@pytest.fixture
def result(tmp_path):
    asked = samples_of("qa", [("yes",), ("no",), ("no",), ("yes",)], ["yes", ATTACK, "no", "yes"])
    asked = [
        replace(
            sample,
            question_type="single-verify",
            attribute_type="scp_code",
            attributes=("atrial fibrillation",),
            probabilities={"with_ecg": 0.9, "no_ecg": 0.6},
            yes_margins={"with_ecg": 2.0, "no_ecg": 0.1},
        )
        for sample in asked
    ]
    write_result(
        tmp_path, asked, SETTINGS | {"checkpoint": "checkpoints/<b>x"}, {"checkpoint": {"fingerprint": "ab12"}}
    )
    return read_result(tmp_path)


def test_the_page_shows_the_results_own_numbers(result):
    found, _ = result
    text = parts_of(render_page(found)).text
    assert "With the ECG, exact match: 75.0" in text and re.search(r"signal-use gap:\s+\+25.0", text)
    assert "The interval covers zero: this evaluation does not show that the model uses the ECG." in text
    assert "ab12" in text and found["predictions"]["sha256"] in text and "which lead?" in text


def test_table_page_and_card_show_balanced_accuracy_for_rare_findings(tmp_path):
    """If one ECG in ten has a finding, always answering "no" is nearly always right, but not in balanced accuracy."""
    asked = samples_of("qa", [("yes",)] * 3 + [("no",)] * 27, ["yes", "yes", "no"] + ["no"] * 27)
    write_result(tmp_path, [replace(s, question="AF?", question_type="single-verify") for s in asked], SETTINGS, {})
    found, _ = read_result(tmp_path)
    assert balanced_accuracy(found)["with_ecg"] == pytest.approx((2 / 3 + 1) / 2)
    assert re.search(r"balanced accuracy, 1 yes-or-no questions\s+83\.3", parts_of(render_page(found)).text)
    assert "| balanced accuracy, 1 yes-or-no questions | 83.3 |" in model_card({}, True, [found])
    assert re.search(r"balanced accuracy \(1 questions\) +83\.3", scores_table(found))


def test_nothing_is_loaded_from_elsewhere_and_no_answer_becomes_markup(result):
    found, samples = result
    rng = np.random.default_rng(0)
    figure = draw_ecg_paper(rng.normal(0, 0.1, (12, 5000)), 500, LEADS, "Recording 1")
    page = render_page(found, [PageExample(samples[1], [figure], False)])
    parts = parts_of(page)
    assert "script" not in parts.tags and parts.tags.count("img") == 3
    for name, value in parts.attributes:
        assert not name.startswith("on")
        if name in ("src", "href"):
            assert value.startswith("data:image/png;base64,")
    assert ATTACK in parts.text, "shown as it was said"
    assert "0 of the 3 right answers and 1 of the 1 wrong ones" in parts.text


@pytest.mark.parametrize(
    ("task", "metrics"), [("report", "strict"), ("report", "heartllm"), ("report", "ecg-bench"), ("instruct", "strict")]
)
def test_reports_and_conversations_have_a_page_as_well(tmp_path, task, metrics):
    samples = samples_of(task, [(text,) for text in REFERENCES], PREDICTIONS)
    write_result(tmp_path, samples, SETTINGS | {"metrics": metrics}, {})
    text = parts_of(render_page(read_result(tmp_path)[0])).text
    assert "With the ECG, rougeL:" in text and "By group" not in text
    assert ("Content of reports" in text) == ("With the ECG, content_f1:" in text) == (task == "report")


def test_the_page_shows_only_the_groups_with_most_samples(tmp_path):
    answers = [(f"finding {i}",) for i in range(150)] + [("common",)] * 5
    write_result(tmp_path, samples_of("qa", answers, [gold[0] for gold in answers]), SETTINGS, {})
    page = render_page(read_result(tmp_path)[0])
    assert "answer (151, the 100 with most samples)" in parts_of(page).text
    assert page.count("<td>finding ") == 99 and "<td>common" in page and len(page) < 300_000


def test_examples_are_drawn_and_half_of_them_are_wrong():
    samples = samples_of("qa", [("yes",)] * 40, ["yes"] * 36 + ["no"] * 4)
    shown = choose(samples, "strict", 6, seed=1)
    assert len(shown) == len(set(shown)) == 6 and sum(i >= 36 for i in shown) == 3
    assert choose(samples, "strict", 6, seed=1) == shown != choose(samples, "strict", 6, seed=2)
    assert len(choose(samples, "strict", 20, seed=1)) == 20, "where wrong ones are few, right ones fill up"
    assert choose(samples[:2], "strict", 9, seed=1) == [0, 1]


def verdict(folder, patients: int, **more) -> str:
    """The text of the page of a model that is right with the ECG and silent without it."""
    samples = samples_of("qa", [("yes",)] * 60, ["yes"] * 60, **more)
    samples = [
        replace(s, patients=(i % patients,), predictions=s.predictions | {"no_ecg": ""}) for i, s in enumerate(samples)
    ]
    write_result(folder, samples, SETTINGS, {"checkpoint": {"settings": {"ecg_dropout": 0}}})
    return parts_of(render_page(read_result(folder)[0])).text


def test_the_page_claims_use_of_the_ecg_only_if_another_patients_was_tried(tmp_path):
    """A model that reads age and sex beats the majority as well."""
    assert "the answers depend on the ECG" in verdict(tmp_path, 60, other_ecg=["no"] * 60)
    text = verdict(tmp_path, 60)
    assert "the answers depend on the ECG" not in text and "FLOORS=other_ecg" in text
    assert "ECG_DROPOUT=0" in text, "a model that never went without the ECG is no fair floor"
    assert "do not rely on it" in verdict(tmp_path, 5, other_ecg=["no"] * 60) and "do not rely" not in text

"""The page of a result is self-contained, correct, and safe for any output of a model."""

import base64
import csv
import io
import re
from dataclasses import replace
from html.parser import HTMLParser

import numpy as np
import pytest

from cardiolect.data_provider.record import LEADS
from cardiolect.model.evaluation.card import model_card
from cardiolect.model.evaluation.examples import choose
from cardiolect.model.evaluation.notes import by_chance
from cardiolect.model.evaluation.page import PageExample, render_page
from cardiolect.model.evaluation.result import check_result, read_result, write_result
from cardiolect.model.evaluation.tables import balanced_accuracy, scores_table
from cardiolect.model.evaluation.verdict import verdict as verdict_of
from cardiolect.model.evaluation.verdict import warnings
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


def yes_or_no(n_yes: int, n_no: int, found: int, question: str = "AF?"):
    """Questions about as many patients; the model says yes to ``found`` of those with yes."""
    texts = ["yes"] * found + ["no"] * (n_yes - found + n_no)
    samples = samples_of("qa", [("yes",)] * n_yes + [("no",)] * n_no, texts)
    return [
        replace(s, sample_id=f"{question} {k}", question=question, question_type="single-verify")
        for k, s in enumerate(samples)
    ]


def test_table_page_and_card_show_balanced_accuracy_for_rare_findings(tmp_path):
    """If one ECG in ten has a finding, always answering "no" is nearly always right, but not in balanced accuracy."""
    write_result(tmp_path, yes_or_no(6, 54, 4), SETTINGS, {})
    found, _ = read_result(tmp_path)
    assert balanced_accuracy(found)["with_ecg"] == pytest.approx((2 / 3 + 1) / 2)
    assert re.search(r"balanced accuracy, 1 yes-or-no questions\s+83\.3", parts_of(render_page(found)).text)
    card = model_card({}, True, [found])
    assert "| balanced accuracy, 1 yes-or-no questions | 83.3 |" in card
    low, high = (100 * end for end in found["verify_means"]["with_ecg"]["balanced_accuracy_ci95"])
    assert f"| 95 %, over patients | [{low:.1f}, {high:.1f}] |" in card and low < 83 < high
    assert re.search(r"balanced accuracy \(1 questions\) +83\.3", scores_table(found))


def test_a_mean_says_which_questions_count_and_every_row_is_shown(tmp_path):
    asked = [*yes_or_no(6, 10, 6), *yes_or_no(2, 10, 0, "RBBB?"), *yes_or_no(3, 0, 3, "always?")]
    asked.append(replace(asked[0], sample_id="unsure", question="MI?", answers=("not sure",)))
    write_result(tmp_path, asked, SETTINGS, {})
    found, _ = read_result(tmp_path)
    assert balanced_accuracy(found)["with_ecg"] == 1, "the question with two positives does not count"
    table, page, card = scores_table(found), parts_of(render_page(found)).text, model_card({}, True, [found])
    for text in (table, " ".join(page.split()), " ".join(card.split())):
        assert "Means are over 1 of 2 yes-or-no questions" in text and "1 are left out" in text
        assert "at least 5 patients with yes and 5 with no" in text
        assert "1 more have only yes, or only no" in text and "1 samples with another right answer" in text
    rows = (tmp_path / "verify.csv").read_text().splitlines()
    assert len(rows) == 1 + 2 * 2 and rows[0].startswith("question,condition,yes,no,yes_patients")
    assert "RBBB?" in page and "RBBB?" in (tmp_path / "verify.txt").read_text() and "balanced_accuracy_low" in rows[0]
    write_result(tmp_path, yes_or_no(4, 10, 4), SETTINGS, {})
    few, _ = read_result(tmp_path)
    assert balanced_accuracy(few) == {} and "Means are over 0 of 1" in scores_table(few)
    assert "balanced accuracy, " not in parts_of(render_page(few)).text


def test_many_groups_say_how_many_are_above_zero_by_chance(tmp_path):
    samples = samples_of("qa", [("yes",)] * 120, ["yes"] * 120)
    samples = [
        replace(s, attributes=(f"a{i % 3}",), predictions=s.predictions | {"no_ecg": ""}) for i, s in enumerate(samples)
    ]
    write_result(tmp_path, samples, SETTINGS, {})
    expected = "Of 3 groups with an interval, expect up to 2.5 % (0.1) above zero by chance; 3 are."
    assert expected in parts_of(render_page(read_result(tmp_path)[0])).text
    assert expected in (tmp_path / "groups.txt").read_text()
    assert by_chance([0.1, -0.2, None]).startswith("Of 2 groups") and by_chance([None]) == ""
    assert by_chance([0.6, 0.4], 0.5, "questions").endswith("above 50 by chance; 1 is.")


def test_nothing_is_loaded_from_elsewhere_and_no_answer_becomes_markup(result):
    found, samples = result
    rng = np.random.default_rng(0)
    figure = draw_ecg_paper(rng.normal(0, 0.1, (12, 5000)), 500, LEADS, "Recording 1")
    page = render_page(found, [PageExample(samples[1], [figure], False)])
    parts = parts_of(page)
    assert "script" not in parts.tags and parts.tags.count("img") == 4
    for name, value in parts.attributes:
        assert not name.startswith("on")
        if name in ("src", "href"):
            known = ("data:image/png;base64,",) if name == "src" else ("#", "data:text/", "data:application/x-tex;")
            assert value.startswith(known)
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


def verdict(folder, patients: int, provenance=None, **more) -> str:
    """The text of the page of a model that is right with the ECG and silent without it."""
    samples = samples_of("qa", [("yes",)] * 60, ["yes"] * 60, **more)
    samples = [
        replace(s, patients=(i % patients,), predictions=s.predictions | {"no_ecg": ""}) for i, s in enumerate(samples)
    ]
    write_result(folder, samples, SETTINGS, {"checkpoint": {"settings": {"ecg_dropout": 0}}, **(provenance or {})})
    return parts_of(render_page(read_result(folder)[0])).text


def test_the_page_claims_use_of_the_ecg_only_if_another_patients_was_tried(tmp_path):
    """A model that reads age and sex beats the majority as well."""
    assert "the answers depend on the ECG" in verdict(tmp_path, 60, other_ecg=["no"] * 60)
    text = verdict(tmp_path, 60)
    assert "the answers depend on the ECG" not in text and "FLOORS=other_ecg" in text
    assert "ECG_DROPOUT=0" in text, "a model that never went without the ECG is no fair floor"
    assert "do not rely on it" in verdict(tmp_path, 5, other_ecg=["no"] * 60) and "do not rely" not in text


def seen(**changed) -> dict:
    counts = dict.fromkeys(("samples", "patients", "left_out_samples", "left_out_patients"), 0)
    return {"known": True, **counts, **changed}


CLAIM = "the answers depend on the ECG"


@pytest.mark.parametrize(
    ("record", "words"),
    [
        (seen(samples=12, patients=7), "Training has seen 7 of these 60 patients (12 of 60 samples"),
        (seen(known=False), "It is not known whether training has seen these patients"),
    ],
)
def test_a_result_of_seen_patients_says_so_in_red_and_claims_nothing(tmp_path, record, words):
    text = verdict(tmp_path, 60, {"seen": record}, other_ecg=["no"] * 60)
    result, _ = read_result(tmp_path)
    assert words in " ".join(text.split()) and "no conclusion is drawn" in text and CLAIM not in text
    page = render_page(result)
    assert re.search(r'class="alarm"[^>]*>[^<]*' + re.escape(words), page) and ".alarm { color: #a3001b" in page
    assert "WARNING: " + words in (tmp_path / "scores.txt").read_text()
    card = model_card({}, True, [result])
    assert words in card and CLAIM not in card and "signal-use-gap" not in card, "nor in the metadata"
    assert result["seen"] == record and check_result(tmp_path) == []


def test_a_result_of_unseen_patients_makes_its_claim_and_counts_whom_it_left_out(tmp_path):
    record = seen(left_out_samples=30, left_out_patients=12)
    text = verdict(tmp_path, 60, {"seen": record}, other_ecg=["no"] * 60)
    assert CLAIM in text and "30 samples of 12 patients that training has seen" in text
    assert "30 samples of 12 patients" in (tmp_path / "scores.txt").read_text()
    page = render_page(read_result(tmp_path)[0])
    assert 'class="alarm"' not in page and "older version" not in page
    assert "does not say whether training has seen its patients" in verdict(tmp_path, 60, other_ecg=["no"] * 60)


def test_seen_patients_that_were_not_counted_are_warned_of():
    """As in results of older versions."""
    gap = {"of": "em", "value": 0.4, "ci95": [0.3, 0.5], "best_floor": "majority"}
    result = {
        "settings": {"keep_seen_patients": True},
        "conditions": {"with_ecg": {}, "other_ecg": {}, "majority": {}},
        "patients": 100,
        "checkpoint": {"settings": {"ecg_dropout": 0.05}},
    }
    assert "how many is not known" in warnings(result)[0] and CLAIM not in verdict_of(result, gap)
    assert CLAIM in verdict_of({**result, "settings": {}}, gap)


@pytest.mark.parametrize(
    ("info", "task", "words"),
    [
        ({"stage": "pretrain"}, "qa", "pretrained only"),
        ({"stage": "finetune", "settings": {"tasktype": "qa"}}, "qa", ""),
        ({"stage": "finetune", "settings": {"tasktype": "qa"}}, "report", "TASKTYPE=qa, not on what is asked here"),
        ({"stage": "finetune", "settings": {"tasktype": "all"}}, "report", ""),
        ({"stage": "finetune", "settings": {"tasktype": "all"}}, "instruct", "TASKTYPE=all"),
        ({"stage": "finetune"}, "report", ""),
    ],
)
def test_a_checkpoint_that_was_not_taught_what_is_asked_is_warned_of(info, task, words):
    found = warnings({"checkpoint": info, "task": task, "conditions": {}, "seen": {"known": True, "samples": 0}})
    assert [words in line for line in found] == [True] * bool(words)


def test_a_report_floor_without_the_constant_of_best_content_is_named(tmp_path):
    references = [(text,) for text in REFERENCES]
    write_result(tmp_path, samples_of("report", references, PREDICTIONS, majority=["a"] * 3), SETTINGS, {})
    assert "keeps no constant report with the best content" in (tmp_path / "scores.txt").read_text()
    more = {"majority": ["Sinus rhythm."] * 3, "majority_content": ["Atrial fibrillation. Low voltage."] * 3}
    write_result(tmp_path, samples_of("report", references, ["Sinus rhythm."] * 3, **more), SETTINGS, {})
    found, _ = read_result(tmp_path)
    assert "keeps no constant" not in (tmp_path / "scores.txt").read_text()
    assert found["content_gap"]["best_floor"] == "majority_content" and "maj./content" in render_page(found)


def test_the_headline_names_the_patients_and_headings_are_linked(result):
    found, _ = result
    real = {"name": "ptb-xl", "version": "1.0.3", "citation": "Wagner et al. 2020"}
    made = {"name": "corpus", "version": "", "citation": "simulated by Cardiolect"}
    for corpora, words in (
        ([real], "Asked about ptb-xl 1.0.3"),
        ([made], "Asked about simulated patients (corpus)"),
        ([real, made], "Asked about ptb-xl 1.0.3, corpus"),
    ):
        told = found | {"data": {**found.get("data", {}), "corpora": corpora}}
        page = render_page(told)
        assert words in parts_of(page).text and words.lower() in scores_table(told).lower()
    parts = parts_of(page)
    ids = {value for name, value in parts.attributes if name == "id"}
    links = [value[1:] for name, value in parts.attributes if name == "href" and value.startswith("#")]
    assert links[0] == "scores" and links[-1] == "provenance" and set(links) == ids and len(links) == len(ids)
    assert "Asked about" not in parts_of(render_page(found)).text  # of an older version


def test_bars_have_whiskers(result):
    found, _ = result
    pictures = [re.findall(r'src="(data:image/png[^"]*)"', render_page(found | more)) for more in ({}, {"ci95": {}})]
    assert len(pictures[0]) == len(pictures[1]) and pictures[0][0] != pictures[1][0]


def test_the_scores_are_in_the_page_as_files_for_a_paper(result):
    found, _ = result
    page = render_page(found | {"settings": found["settings"] | {"output_dir": "results/trial"}})
    links = re.findall(r'<a href="data:[\w/-]+;charset=utf-8;base64,([\w+/=]+)" download="(.*?)">(.*?)</a>', page)
    assert [name for _, *name in links] == [
        [f"trial.{ending}", label] for ending, label in (("csv", "CSV"), ("tex", "LaTeX"), ("md", "Markdown"))
    ]
    (text, *_), *_ = links
    rows = list(csv.DictReader(io.StringIO(base64.b64decode(text).decode())))
    exact = [row for row in rows if row["score"] == "exact match" and row["condition"] == "with ECG"]
    assert float(exact[0]["value"]) == found["conditions"]["with_ecg"]["em"]

"""The textbook of the package: a section for every SCP code, and sentences that stand on their own and are found."""

import re

import pytest

from cardiolect.data_provider.texts.describe.corpus import name_of
from cardiolect.data_provider.texts.describe.describing import Describer, Options
from cardiolect.data_provider.texts.describe.extractive import choose, subject_of
from cardiolect.data_provider.texts.describe.passages import TEXTBOOK, load_texts
from cardiolect.data_provider.texts.describe.retrieval import WordIndex
from cardiolect.data_provider.texts.describe.statements import read_statement
from cardiolect.data_provider.texts.describe.topics import TOPICS
from cardiolect.data_provider.texts.describe.words import words
from cardiolect.utils.kept_answers import KeptAnswers
from cardiolect.utils.metrics.statements.codes import AXES
from cardiolect.utils.scp_codes import SCP_CODES
from tests.data_provider.texts.describe.test_statements import ADMINISTRATIVE

TEXTS = load_texts(TEXTBOOK)
INDEX = WordIndex(TEXTS.passages)
OWN = {m[1]: one for one in TEXTS.passages if (m := re.search(r"\(([^()]+(?:\(S\))?)\)$", one.heading))}


def described(text: str, tmp_path, **options) -> dict:
    with KeptAnswers(tmp_path / "kept.jsonl", "description") as kept:
        found, _ = Describer(TEXTS, INDEX, Options(**options)).describe([read_statement(text)], kept)
    return found[text]


def test_every_code_and_axis_has_a_section():
    assert OWN.keys() == SCP_CODES | set(AXES)


@pytest.mark.parametrize("code", sorted(SCP_CODES | set(AXES)))
def test_the_description_of_each_code_is_from_its_own_section(code):
    text = name_of(code) if code in SCP_CODES else OWN[code].heading.removesuffix(f" ({code})")
    (finding,) = (one for one in read_statement(text).findings if one.code == code)
    found = choose(finding, INDEX, most=4, threshold=0.5)
    assert found and set(found) <= set(OWN[code].sentences)


@pytest.mark.parametrize("text", [*ADMINISTRATIVE, "Abnormal ECG", "No acute myocardial infarction"])
def test_nothing_is_said_about_statements_without_a_finding(text, tmp_path):
    result = described(text, tmp_path)
    assert (result["waveforms"], result["text"]) == ([], "")


@pytest.mark.parametrize("name", sorted({name for _, name in TOPICS}))
def test_every_finding_without_a_code_has_a_section(name):
    assert frozenset(words(name)) in {subject_of(one.heading)[1] for one in TEXTS.passages}


def test_sentences_stand_on_their_own():
    """Each has a word of its heading that few others have, and none begins with a word that points back."""
    for one in TEXTS.passages:
        named = subject_of(one.heading)[1]
        for sentence in one.sentences:
            assert named & set(words(sentence.text)), sentence
            assert not re.match(r"(?:It|They|This|These|Its|There)\b", sentence.text), sentence


def test_the_lexicon_reads_the_code_of_a_heading_in_it():
    for code, one in OWN.items():
        read = {finding.code for finding in read_statement(one.heading.removesuffix(f" ({code})")).findings}
        assert code in read or code == "AMI", (one.heading, read)  # an anterior infarct is ASMI in reports


@pytest.mark.parametrize(
    ("statement", "has", "lacks"),
    [
        ("Left bundle branch block", "at least 120 ms", "110 to 119"),
        ("Incomplete LBBB", "110 to 119 ms", "at least 120"),
        ("Inferior infarct - age undetermined", "Q waves", "raises the ST"),
        ("*** INFERIOR INFARCT - POSSIBLY ACUTE ***", "Q waves", "raises the ST"),
        ("Acute inferior infarct", "raises the ST segment in II, III and aVF", "V1"),
        ("Anterior infarct", "V2 to V4", "V1 to V4 show"),
        ("Atrial fibrillation with rapid ventricular response", "above 100 per minute", "flutter"),
        ("Atrial fibrillation with rapid ventricular response", "no P waves", "Rapid ventricular response means"),
        ("Second degree AV block", "some P waves are not followed", "Wenckebach"),
        ("Suggest exclude hypokalaemia", "U waves are prominent", "peaked"),
        ("Possible accelerated junctional rhythm", "Possible accelerated junctional rhythm:", "40 to 60"),
        ("Left anterior fascicular block", "aVL", "anterior leads"),
        ("ventricular couplets", "two early broad QRS", "ventricular tachycardia"),
    ],
)
def test_descriptions_say_what_is_stated_and_no_more(statement, has, lacks, tmp_path):
    text = described(statement, tmp_path)["text"]
    assert has in text and lacks not in text


def test_hedges_denials_and_walls_reach_the_text(tmp_path):
    result = described("No LVH, but possible left atrial enlargement", tmp_path)
    assert result["text"].startswith("Possible left atrial enlargement: In left atrial enlargement the P wave")
    assert "hypertrophy" not in result["text"]
    assert described("Inferior T wave changes are nonspecific", tmp_path)["text"].endswith(
        "The inferior leads are II, III and aVF."
    )


def test_every_sentence_names_its_line(tmp_path):
    for row in described("Left bundle branch block", tmp_path)["waveforms"]:
        file, _, line = row["source"].rpartition(":")
        assert (TEXTBOOK / file).read_text().splitlines()[int(line) - 1] == row["text"]
    assert len(described("Left bundle branch block", tmp_path, sentences=2)["waveforms"]) == 2

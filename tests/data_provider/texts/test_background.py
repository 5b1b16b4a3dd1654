"""Age and sex from the comments of a header, by what the comment says and nothing else."""

import pytest

from cardiolect.data_provider.texts.background import parse_background, parse_comments


@pytest.mark.parametrize(
    ("comments", "sentence"),
    [
        (["#Age: 74", "#Sex: Male", "#Dx: 426783006"], "age 74, sex male"),
        (["# Age : 74", "# SEX = f"], "age 74, sex female"),
        (["#Age: ", "#Sex: Male"], "sex male"),
        (["#Age:", "#Sex:", "#Dx: 1"], ""),
        (["#Sex: Male", "#Age: 40"], "age 40, sex male"),
        (["#Age: 74 Sex: Male"], "age 74, sex male"),
        (["#Age: 74, Gender: M"], "age 74, sex male"),
        (["# <age>: 65 <sex>: F <diagnoses> Coronary artery disease"], "age 65, sex female"),
        (["# <age>:  <sex>: F <diagnoses> 3 stents"], "sex female"),
        (["# age: 81", "# sex: female", "# ECG date: 01/10/1990"], "age 81, sex female"),
        (["# 69 M 1085 1629 x1"], ""),
        (["# the sex: of beats was not noted", "# mother's age: 70", "#Age: 40"], "age 40"),
        (["rec 12 500 5000 age: 50", "#Patient age: 74 years old", "#Patient's sex: woman"], "age 74, sex female"),
        (["#Age (years): 74.0", "#Sex [M/F]: M"], "age 74, sex male"),
        (["#Age [months]: 8", "#Sex: M"], "sex male"),
        (["#Age: 74", "#Age: 47", "#Sex: M", "#Sex: M"], "sex male"),
        (["#Age: NaN", "#Sex: Unknown"], ""),
        (["#Sex: 1"], ""),
    ],
)
def test_comments_of_headers(comments, sentence):
    assert parse_comments(comments) == sentence


@pytest.mark.parametrize(
    "parse", [lambda age: parse_comments([f"#Age: {age}"]), lambda age: parse_background(f"Age: {age}")]
)
@pytest.mark.parametrize(
    ("age", "sentence"),
    [
        *(
            (age, "")
            for age in ("", "-1", "nan", "N/A", "8 months", "8mo", "18 mths", "6 weeks", "3 d", "8/12", "2/52")
        ),
        *((age, "") for age in ("45-50", "45 - 50", "> 50", "over 50", "301", "unknown", "?")),
        *((age, "age 74") for age in ("74", "74.0", "074", "74 years", "74y", "74 yrs", "74 yo")),
        *((age, "age over 89") for age in ("90", "92", "300", "over 89", ">89", "> 89", ">= 90")),
        ("89", "age 89"),
        ("0", "age 0"),
        ("0.5", "age 0.5"),
    ],
)
def test_ages_as_people_write_them(parse, age, sentence):
    assert parse(age) == sentence


@pytest.mark.parametrize("age", ["90+", "89+", "90 or older", "90 years and over"])
def test_open_ages_of_headers(age):
    assert parse_comments([f"#Age: {age}"]) == "age over 89"


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("- Age: ; - Sex: 1; - Height: ; - Weight: 59;", "sex female, weight 59 kg"),
        ("- Age:\n- Sex: 0\n- Height: 170", "sex male, height 170 cm"),
        ("Age: 8 months; Gender: Male", "sex male"),
        ("sex: , age: 56", "age 56"),
        ("age 56 / 170 cm", "age 56"),
        ("56-year-old, age 56-year-old", "age 56"),
    ],
)
def test_blank_and_monthly_ages_of_texts(text, sentence):
    assert parse_background(text) == sentence

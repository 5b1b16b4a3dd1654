"""No patient stands in two splits."""

from pathlib import Path

import pytest

from cardiolect.data_provider.corpora.ptbxl_database import load_database, parse_folds
from cardiolect.data_provider.examples import RecordRef
from cardiolect.data_provider.splits import check_no_leakage, patients_in_common, select_folds
from cardiolect.utils.errors import UserError


def ref(record_id, patient_id=None, fold=None):
    return RecordRef(record_id, Path(record_id), patient_id, fold)


def test_patients_in_common():
    train = [ref("1", "secret"), ref("2", "b"), ref("3"), ref("6", "c")]
    test = [ref("4", "secret"), ref("3"), ref("5"), ref("6")]
    assert patients_in_common(train, test) == {"secret", "record 3", "record 6"}
    assert patients_in_common([ref("7")], [ref("8", "7")]) == set()  # a record id is not a patient id


def test_leakage_names_a_record_not_a_patient():
    splits = {"train": [ref("1", "secret")], "valid": [ref("9", "x")], "test": [ref("4", "secret")]}
    with pytest.raises(UserError, match="1 patient is in both train and test, for example with record 4") as caught:
        check_no_leakage(splits)
    assert "secret" not in str(caught.value)
    check_no_leakage({"train": splits["train"], "valid": splits["valid"]})


def test_ptbxl_folds_share_no_patient(shared_data):
    refs = list(load_database(shared_data / "ptb-xl").values())
    folds = {"train": "1-8", "valid": "9", "test": "10"}
    splits = {name: select_folds(refs, parse_folds(text)) for name, text in folds.items()}
    assert len(splits["train"]) == 344 and sum(map(len, splits.values())) == 488
    check_no_leakage(splits)


def test_folds_without_recordings():
    with pytest.raises(UserError, match="none of the 1 recordings is in folds 9, 10"):
        select_folds([ref("1", fold=3)], frozenset({9, 10}))


@pytest.mark.parametrize(
    ("text", "folds"), [("1-8,10", {1, 2, 3, 4, 5, 6, 7, 8, 10}), (" 9 ", {9}), ("2 - 3", {2, 3}), ("", set())]
)
def test_parse_folds(text, folds):
    assert parse_folds(text) == folds


@pytest.mark.parametrize("text", ["8-1", "0", "11", "a", "1,,2", "1-", "-3", "1-999999999", "1;2"])
def test_nonsense_folds(text):
    with pytest.raises(UserError, match="numbers from 1 to 10"):
        parse_folds(text)

"""The table of representations: what names one, and what a folder that holds one says of itself."""

import json

import pytest

from cardiolect.ecg_tokenizer.base import ECGRepresentation
from cardiolect.ecg_tokenizer.codes.tokenizer import ECGTokenizer
from cardiolect.ecg_tokenizer.representations import REPRESENTATIONS, load_representation, representation_of, resolve
from cardiolect.ecg_tokenizer.training.settings import TokenizerSettings
from cardiolect.utils.errors import UserError


@pytest.mark.parametrize("name", REPRESENTATIONS)
def test_every_line_of_the_table_names_what_exists(name):
    entry = REPRESENTATIONS[name]
    kind, settings = resolve(entry.representation), resolve(entry.settings)
    assert issubclass(kind, ECGRepresentation) and kind.name == name
    assert settings.model_fields["representation"].default == name
    assert callable(resolve(entry.train))


def test_an_env_file_names_its_representation_itself_or_in_a_base(tmp_path, monkeypatch):
    (tmp_path / "base.env").write_text("REPRESENTATION=codes\n")
    (tmp_path / "run.env").write_text("BASE=base.env\nSEED=1\n")
    (tmp_path / "bare.env").write_text("SEED=1\n")
    for name in ("run.env", "bare.env"):
        assert resolve(representation_of(tmp_path / name).settings) is TokenizerSettings
    monkeypatch.setenv("REPRESENTATION", "smoke_signals")
    with pytest.raises(UserError, match=r"run\.env: REPRESENTATION=smoke_signals is unknown; choose one of codes"):
        representation_of(tmp_path / "run.env")


def test_folders_from_before_there_was_a_choice_hold_codes(tokenizer_folder):
    assert "representation" not in json.loads((tokenizer_folder / "config.json").read_text())
    loaded = load_representation(tokenizer_folder)
    assert isinstance(loaded, ECGTokenizer)
    assert loaded.fingerprint() == ECGTokenizer.from_pretrained(tokenizer_folder).fingerprint()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (None, "no ECG tokenizer here .config.json is missing.; train one"),
        ("[1]", "not a JSON object; is the folder complete"),
        ("{", "not a JSON object; is the folder complete"),
        ('{"representation": "smoke_signals"}', "unknown representation 'smoke_signals' .known: codes.*newer version"),
    ],
)
def test_what_cannot_be_loaded_is_one_line(tmp_path, text, message):
    if text is not None:
        (tmp_path / "config.json").write_text(text)
    with pytest.raises(UserError, match=message) as error:
        load_representation(tmp_path)
    assert "\n" not in str(error.value)

"""Ranks of several machines prepare one corpus."""

from types import SimpleNamespace

import pytest

from cardiolect.data_provider.corpora.ptbxl_database import load_database
from cardiolect.ecg_tokenizer import cached
from cardiolect.ecg_tokenizer.representations import load_representation
from cardiolect.utils.errors import UserError


def test_machines_that_list_different_recordings_are_refused(tmp_path, corpus, tokenizer_folder, monkeypatch):
    """Ranks would disagree about who encodes what, and train on different rows."""
    settings = SimpleNamespace(cache_dir=tmp_path, max_bad_records=0, device="cpu", lead_law="error", workers=0)
    refs = list(load_database(corpus).values())[:4]
    monkeypatch.setattr(cached.launch, "gather", lambda value: [value, "of another list"])
    with pytest.raises(UserError, match="the machines of this run list different recordings"):
        cached.prepare_corpus(load_representation(tokenizer_folder), refs, settings)

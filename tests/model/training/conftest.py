"""Fixtures of training runs."""

from pathlib import Path

import pytest

from tests.helpers.runs import pretrain_lines, run


@pytest.fixture(scope="package")
def pretrained(tmp_path_factory, corpus, tokenizer_folder) -> Path:
    return run("pretrain", tmp_path_factory.mktemp("pretrain"), "pre", **pretrain_lines(corpus, tokenizer_folder))

"""Simulated corpora made by ``cardiolect simulate``, as corpora to prepare."""

from pathlib import Path

from cardiolect.data_provider.corpora.databases import MADE
from cardiolect.data_provider.corpora.prepared import Prepared
from cardiolect.data_provider.corpora.ptbxl import prepare as prepare_ptbxl
from cardiolect.data_provider.corpora.simulated_folder import CITATION, LICENCE
from cardiolect.utils.errors import UserError


def prepare(source: Path) -> Prepared:
    """Folds 1-8 for training, 9 for validation, 10 for test; with its questions, comparisons and reports."""
    if not (source / MADE).is_file():
        raise UserError(f"{source}/{MADE}: no such file; --source must be a corpus made by cardiolect simulate")
    done = prepare_ptbxl(source)
    done.version, done.licence, done.citation = "", LICENCE, f"{CITATION}; corpus.json says with which settings"
    done.texts = []  # the reports in its table are in reports/ as well
    done.bundled = [source / name for name in ("questions", "comparisons", "reports")]
    return done

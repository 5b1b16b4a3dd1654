"""A corpus that ``cardiolect simulate`` wrote: its recordings, questions and reports."""

from pathlib import Path

from cardiolect.data_provider.corpora.prepared import Prepared
from cardiolect.data_provider.corpora.ptbxl import prepare as prepare_ptbxl
from cardiolect.data_provider.simulator.corpus import MADE
from cardiolect.utils.errors import UserError

LICENCE = "MIT"  # as the simulator that draws it


def prepare(source: Path) -> Prepared:
    """Folds 1-8 train, 9 validates, 10 tests; its own questions, comparisons and reports."""
    if not (source / MADE).is_file():
        raise UserError(f"{source}/{MADE}: no such file; --source is a corpus that cardiolect simulate made")
    done = prepare_ptbxl(source)
    done.version, done.licence, done.citation = "", LICENCE, "simulated; corpus.json says with which settings"
    done.texts = []  # the reports of its table stand in reports/ as well
    done.bundled = [source / name for name in ("questions", "comparisons", "reports")]
    return done

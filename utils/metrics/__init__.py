"""Scores, their floors and their uncertainty."""

from importlib import import_module

from cardiolect.utils.metrics.answer_lists import AnswerLists
from cardiolect.utils.metrics.bootstrap import Interval, bootstrap_ci
from cardiolect.utils.metrics.calibration import calibration
from cardiolect.utils.metrics.confusion import confusion
from cardiolect.utils.metrics.exact_match import answer_set_heartllm, exact_match
from cardiolect.utils.metrics.findings import finding_scores
from cardiolect.utils.metrics.majority import MajorityAnswers, central_text
from cardiolect.utils.metrics.paired import PairedTest, cross_table, paired_test, paired_test_of
from cardiolect.utils.metrics.runs import RunsSummary, summarise_runs
from cardiolect.utils.metrics.scores import Scores, bootstrap_score
from cardiolect.utils.metrics.verify import NO, YES, verify_means, verify_scores

__all__ = [
    "DEFINITIONS",
    "NO",
    "YES",
    "AnswerLists",
    "Bleu",
    "Definition",
    "Interval",
    "MajorityAnswers",
    "Meteor",
    "PairedTest",
    "Rouge",
    "RunsSummary",
    "Scores",
    "answer_set_heartllm",
    "bootstrap_ci",
    "bootstrap_score",
    "calibration",
    "central_text",
    "confusion",
    "cross_table",
    "definition",
    "exact_match",
    "find_wordnet",
    "finding_scores",
    "paired_test",
    "paired_test_of",
    "summarise_runs",
    "verify_means",
    "verify_scores",
]

_WITH_EVALUATE = {
    "Bleu": "bleu",
    "DEFINITIONS": "definitions",
    "Definition": "definitions",
    "Meteor": "meteor",
    "Rouge": "rouge",
    "definition": "definitions",
    "find_wordnet": "wordnet",
}


def __getattr__(name: str):
    """Imported when asked for: what only reads reports does not wait for evaluate, which imports PyTorch."""
    if name not in _WITH_EVALUATE:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_WITH_EVALUATE[name]}"), name)

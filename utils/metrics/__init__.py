"""Scores, their floors and their uncertainty."""

from cardiolect.utils.metrics.answer_lists import AnswerLists
from cardiolect.utils.metrics.bleu import Bleu
from cardiolect.utils.metrics.bootstrap import Interval, bootstrap_ci
from cardiolect.utils.metrics.calibration import calibration
from cardiolect.utils.metrics.confusion import confusion
from cardiolect.utils.metrics.definitions import DEFINITIONS, Definition, definition
from cardiolect.utils.metrics.exact_match import answer_set_heartllm, exact_match
from cardiolect.utils.metrics.findings import finding_scores
from cardiolect.utils.metrics.majority import MajorityAnswers, central_text
from cardiolect.utils.metrics.meteor import Meteor
from cardiolect.utils.metrics.paired import PairedTest, cross_table, paired_test, paired_test_of
from cardiolect.utils.metrics.rouge import Rouge
from cardiolect.utils.metrics.runs import RunsSummary, summarise_runs
from cardiolect.utils.metrics.scores import Scores, bootstrap_score
from cardiolect.utils.metrics.verify import NO, YES, verify_means, verify_scores
from cardiolect.utils.metrics.wordnet import find_wordnet

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

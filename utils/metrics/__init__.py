"""Scores, their floors and their uncertainty."""

from utils.metrics.answer_lists import AnswerLists
from utils.metrics.bleu import Bleu
from utils.metrics.bootstrap import Interval, bootstrap_ci
from utils.metrics.calibration import calibration
from utils.metrics.confusion import confusion
from utils.metrics.definitions import DEFINITIONS, Definition, definition
from utils.metrics.exact_match import answer_set_heartllm, exact_match
from utils.metrics.findings import finding_scores
from utils.metrics.floors import MajorityAnswers, central_text
from utils.metrics.meteor import Meteor
from utils.metrics.paired import PairedTest, cross_table, paired_test, paired_test_of
from utils.metrics.rouge import Rouge
from utils.metrics.runs import RunsSummary, summarise_runs
from utils.metrics.scores import Scores, bootstrap_score
from utils.metrics.verify import NO, YES, verify_scores
from utils.metrics.wordnet import find_wordnet

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
    "verify_scores",
]

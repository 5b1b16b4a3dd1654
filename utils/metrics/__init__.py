"""Scores, their floors and their uncertainty."""

from utils.metrics.answer_lists import AnswerLists
from utils.metrics.bleu import Bleu
from utils.metrics.bootstrap import Interval, bootstrap_ci
from utils.metrics.definitions import DEFINITIONS, Definition, definition
from utils.metrics.exact_match import answer_set_heartllm, exact_match, exact_match_by
from utils.metrics.findings import finding_scores
from utils.metrics.floors import MajorityAnswers
from utils.metrics.meteor import Meteor
from utils.metrics.rouge import Rouge
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
    "Rouge",
    "Scores",
    "answer_set_heartllm",
    "bootstrap_ci",
    "bootstrap_score",
    "definition",
    "exact_match",
    "exact_match_by",
    "find_wordnet",
    "finding_scores",
    "verify_scores",
]

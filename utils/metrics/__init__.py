"""Scores, their floors and their uncertainty."""

from utils.metrics.bleu import Bleu
from utils.metrics.bootstrap import Interval, bootstrap_ci
from utils.metrics.exact_match import answer_set_heartllm, exact_match, exact_match_by
from utils.metrics.findings import finding_scores
from utils.metrics.floors import MajorityAnswers
from utils.metrics.meteor import Meteor
from utils.metrics.rouge import Rouge
from utils.metrics.verify import NO, YES, verify_scores

__all__ = [
    "NO",
    "YES",
    "Bleu",
    "Interval",
    "MajorityAnswers",
    "Meteor",
    "Rouge",
    "answer_set_heartllm",
    "bootstrap_ci",
    "exact_match",
    "exact_match_by",
    "finding_scores",
    "verify_scores",
]

"""PULSE's ECGBench: strict and published scorers of its nine tasks.

Source: Liu et al., Teach Multimodal LLMs to Comprehend Electrocardiographic Images, arXiv 2410.19008.
"""

from cardiolect.utils.metrics.ecgbench.judge import Judge, JudgeEndpoint
from cardiolect.utils.metrics.ecgbench.label_sets import find_labels, label_scores
from cardiolect.utils.metrics.ecgbench.letters import find_letter
from cardiolect.utils.metrics.ecgbench.options import find_options, options_of
from cardiolect.utils.metrics.ecgbench.rubric import ARENA, REPORT, Rubric
from cardiolect.utils.metrics.ecgbench.tasks import TASKS, Task, score_task

__all__ = [
    "ARENA",
    "REPORT",
    "TASKS",
    "Judge",
    "JudgeEndpoint",
    "Rubric",
    "Task",
    "find_labels",
    "find_letter",
    "find_options",
    "label_scores",
    "options_of",
    "score_task",
]

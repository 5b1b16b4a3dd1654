"""Statistics of texts: how many, how long, how many without a finding, and how balanced the answers are."""

import re
from collections import Counter
from collections.abc import Sequence

from cardiolect.data_provider.examples import Example

# What ECG devices and archives print instead of a finding.
ADMINISTRATIVE = re.compile(
    r"^\W*(unconfirmed|confirmed by.*|edit(ed)?( result)?.*|reviewed by.*|signed.*|no (previous|prior) (ecg|tracing).*|"
    r"report not available.*|trace only requested|"
    r"placeholder.*|unbest[äa]tigter? bericht\.?|--- warning.*|all \d+ leads (are )?missing.*|"
    r"n/?a|none|unknown)\W*$",
    re.IGNORECASE,
)
MOST = 10


def text_figures(examples: Sequence[Example]) -> dict:
    """Counts of reports and questions, and the commonest answers to every type of question."""
    reports = [e.answers[0] for e in examples if e.task == "report"]
    questions = [e for e in examples if e.task == "qa"]
    counts = Counter(reports)
    return {
        "reports": len(reports),
        "reports_different": len(counts),
        "reports_empty": sum(not text.strip(" .-") for text in reports),
        "reports_administrative": sum(bool(ADMINISTRATIVE.match(text)) for text in reports),
        "reports_commonest": [{"text": text, "count": count} for text, count in counts.most_common(MOST)],
        "report_words_median": _median([len(text.split()) for text in reports]),
        "questions": len(questions),
        "answers": {
            kind: balance([e for e in questions if e.question_type == kind])
            for kind in sorted({e.question_type for e in questions})
        },
    }


def balance(questions: Sequence[Example]) -> dict:
    """The commonest answers, and the share of questions that the first of them answers correctly."""
    counts = Counter("; ".join(sorted(e.answers)) for e in questions)
    commonest = counts.most_common(MOST)
    return {
        "questions": len(questions),
        "majority": round(commonest[0][1] / len(questions), 4),
        "commonest": [{"answer": answer, "count": count} for answer, count in commonest],
    }


def _median(values: list[int]) -> float | None:
    return float(sorted(values)[len(values) // 2]) if values else None

"""Questions about varied recordings: those derived from PTB-XL's labels, then those of the default mode.

`ecgqa.derived.questions` are answered from the row that PTB-XL's database would have for the recording, so models
of both corpora are asked the same questions. Findings in `VariedTruth.open` are neither asked about nor denied.
"""

from collections.abc import Callable, Iterator
from dataclasses import replace

from cardiolect.data_provider.ecgqa import derived, labels
from cardiolect.data_provider.ecgqa.findings import NAMES, NOISES, NOT_SIMULATED
from cardiolect.data_provider.ecgqa.labels import DIAGNOSES, FORMS, RHYTHMS
from cardiolect.data_provider.ecgqa.templates import CHOOSE, NOISE_IN_LEAD, QUERY, TEMPLATES, VERIFY
from cardiolect.data_provider.simulator.ptbxl_tables import AXIS_CODES, EXTRA_BEATS, noise_cell
from cardiolect.data_provider.simulator.questions import (
    CHOOSE_SHARE,
    QUERY_SHARE,
    TOP_SHARE,
    VERIFY_SHARE,
    Answer,
    Question,
    questions,
)
from cardiolect.data_provider.simulator.varied.truth import VariedTruth

LISTS = (5, 7, 22, 32)  # templates of open questions that derived questions ask too, with more names
ABOUT_NOISE = frozenset(number for number, template in TEMPLATES.items() if template.attribute_type == "noise")
SHARES = {VERIFY: VERIFY_SHARE, CHOOSE: CHOOSE_SHARE, QUERY: QUERY_SHARE}
NOISE_IN_LEAD_SHARE = 0.02  # per lead
OPEN_LIKELIHOOD = 15.0  # doubtful: neither stated nor denied

AnswerTo = Callable[[VariedTruth], Answer | None]


def varied_questions() -> Iterator[Question]:
    """All questions; those derived for PTB-XL first, in their order."""
    skipped = {f"Does this ECG show symptoms of {NAMES[code]}?" for code in NOT_SIMULATED}
    asked = set()
    for template, kind, attribute, text, named, answer in derived.questions():
        if text in skipped or attribute == "numeric_feature":  # the default mode asks about all intervals
            continue
        asked.add(text)
        yield Question(
            template,
            kind,
            attribute,
            text,
            named,
            _with_noise_known(template, lambda t, answer=answer, kind=kind: answer(_row(t, kind))),
            NOISE_IN_LEAD_SHARE if template == NOISE_IN_LEAD else SHARES[kind],
            top_share=0.5 if kind == VERIFY else TOP_SHARE,
        )
    for question in questions(lambda truth, finding: truth.states(finding)):
        if question.text not in asked and question.template_id not in LISTS:
            yield replace(question, answer=_with_noise_known(question.template_id, question.answer))


def _with_noise_known(template: int, answer: AnswerTo) -> AnswerTo:
    if template not in ABOUT_NOISE:
        return answer
    return lambda truth: None if set(NOISES) & set(truth.open) else answer(truth)


def _row(truth: VariedTruth, kind: str) -> dict[str, str]:
    """The recording's row in PTB-XL's database; for questions about one code, without codes that no question names.

    Such a code may leave others open, as PTB-XL's labels may be incomplete; these are not.
    """
    codes = {**truth.scp_codes(), **{c: OPEN_LIKELIHOOD for c in truth.open if c in NAMES}}
    if kind != QUERY:
        named = {*DIAGNOSES, *RHYTHMS, *FORMS, "NORM"}
        codes = {code: likelihood for code, likelihood in codes.items() if code in named}
    return {
        "scp_codes": str(codes),
        "heart_axis": AXIS_CODES.get(truth.axis or "", ""),
        "extra_beats": EXTRA_BEATS[truth.ectopy],
        # The age of an infarct is not a label.
        "infarction_stadium1": "not known" if truth.infarction else "",
        "infarction_stadium2": "",
        **{column: noise_cell(truth, noise) for column, noise in labels.NOISES.items()},
    }

"""Questions about varied recordings, worded as those derived from PTB-XL's labels and as those of the default mode.

One that reads PTB-XL is asked the same: `derived_questions.questions` are put to the row that PTB-XL would have for the
recording. What `VariedTruth.open` names is neither asked about nor denied.
"""

from collections.abc import Callable, Iterator
from dataclasses import replace

from cardiolect.data_provider.ecgqa import derived as derived
from cardiolect.data_provider.ecgqa.labels import DIAGNOSES, FORMS, RHYTHMS
from cardiolect.data_provider.simulator.questions import CHOOSE, QUERY, VERIFY, Answer, Question, questions
from cardiolect.data_provider.simulator.tables import AXIS_CODES, EXTRA_BEATS, NOISE_COLUMNS, noise_cell
from cardiolect.data_provider.simulator.truth import NOISES
from cardiolect.data_provider.simulator.varied.truth import NAMES, NOT_SIMULATED, VariedTruth

LISTS = (5, 7, 22, 32)  # templates of open questions, which derived questions ask too, with more names
ABOUT_NOISE = (26, 27, 29, 30, 32)
SHARES = {"single-verify": VERIFY, "single-choose": CHOOSE, "single-query": QUERY}
BY_LEAD = 0.02  # how often a noise is asked for in one lead, of twelve
OPEN_LIKELIHOOD = 15.0  # below `ptbxl_labels.SURE`: neither stated nor denied

Judge = Callable[[VariedTruth], Answer | None]


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
            BY_LEAD if template == 26 else SHARES[kind],
            top_share=0.5 if kind == "single-verify" else 0.35,
        )
    for question in questions(lambda truth, finding: truth.states(finding)):
        if question.text not in asked and question.template_id not in LISTS:
            yield replace(question, answer=_with_noise_known(question.template_id, question.answer))


def _with_noise_known(template: int, answer: Judge) -> Judge:
    if template not in ABOUT_NOISE:
        return answer
    return lambda truth: None if set(NOISES) & set(truth.open) else answer(truth)


def _row(truth: VariedTruth, kind: str) -> dict[str, str]:
    """The recording as PTB-XL's database would have it; without codes that no question names where one is asked for.

    Such a code stops derived questions from denying anything, as PTB-XL's labels may be incomplete; these are not.
    """
    codes = {**truth.scp_codes(), **{c: OPEN_LIKELIHOOD for c in truth.open if c in NAMES}}
    if kind != "single-query":
        named = {*DIAGNOSES, *RHYTHMS, *FORMS, "NORM"}
        codes = {code: likelihood for code, likelihood in codes.items() if code in named}
    return {
        "scp_codes": str(codes),
        "heart_axis": AXIS_CODES.get(truth.axis or "", ""),
        "extra_beats": EXTRA_BEATS[truth.ectopy],
        # Of what age an infarct is, is no label.
        "infarction_stadium1": "not known" if truth.infarction else "",
        "infarction_stadium2": "",
        **{column: noise_cell(truth, noise) for column, noise in NOISE_COLUMNS.items()},
    }

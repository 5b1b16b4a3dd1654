"""Samples for visitors of the demo: simulated ECGs, which belong to no real patient, and prompts."""

import numpy as np

from cardiolect.data_provider.ecgqa.findings import LBBB, LVH, NORMAL
from cardiolect.data_provider.record import ECGRecord
from cardiolect.data_provider.simulator.beat_shapes import FS
from cardiolect.data_provider.simulator.patients import draw_patient
from cardiolect.data_provider.simulator.varied.heart import FIBRILLATION
from cardiolect.data_provider.simulator.varied.render import simulate_varied
from cardiolect.model.cli.understanding import is_trained, trained_questions
from cardiolect.model.inference.calibration import Calibration
from cardiolect.model.prompt.tasks import REPORT

FINDINGS = (NORMAL, FIBRILLATION, LBBB, LVH)
SEED = 7
_MAX_SIMULATED = 400  # enough recordings to find one with each of `FINDINGS`

# Questions worded like ECG-QA's templates, which our stages train on; then other kinds of request.
PROMPTS = (
    ("Rhythm", "What rhythm-related symptoms does this ECG show?"),
    ("Rhythm", "Does this ECG show symptoms of atrial fibrillation?"),
    ("Intervals", "What numeric features of this ECG fall above the normal range?"),
    ("Intervals", "Does the qt corrected of this ECG fall within the normal range?"),
    ("Conduction", "Does this ECG show symptoms of complete left bundle branch block?"),
    ("Conduction", "Does this ECG show symptoms of first degree av block?"),
    ("Ischaemia", "Does this ECG show symptoms of non-specific ischemic?"),
    ("Ischaemia", "Does this ECG show symptoms of inverted t-waves?"),
    ("Hypertrophy", "Does this ECG show symptoms of left ventricular hypertrophy?"),
    ("Axis", "What direction is this ECG deviated to?"),
    ("Noise", "What kinds of noises does this ECG show?"),
    ("Teaching", "Explain this ECG step by step, as to a student: rate, rhythm, axis, intervals, ST segment, T wave."),
    ("Deutsch", "Beschreibe dieses EKG auf Deutsch."),
    ("Español", "Describe este ECG en español."),
)


def sample_ecgs() -> dict[str, ECGRecord]:
    """The first recording of the simulator's varied mode with each of `FINDINGS`, by the name of the finding."""
    ecgs: dict[str, ECGRecord] = {}
    for index in range(_MAX_SIMULATED):
        truth, signal = simulate_varied(SEED, index, draw_patient(SEED, index, fold=1))
        new = [finding for finding in FINDINGS if finding in truth.findings and finding not in ecgs]
        if new:
            ecgs[new[0]] = ECGRecord(signal, FS, np.ones(signal.shape, dtype=bool), record_id="")
        if len(ecgs) == len(FINDINGS):
            break
    return {finding.replace("ecg", "ECG"): ecgs[finding] for finding in FINDINGS if finding in ecgs}


def prompt_choices(info: dict) -> list[tuple[str, str]]:
    """``(label, question)`` of those of `PROMPTS` that a checkpoint with this ``info`` answers.

    One that does not list its questions is sent any; labels then mark those that it was not trained on.
    """
    refuses = trained_questions(info) is not None
    return [
        (f"{kind}: {text}{'' if is_trained(info, text) else ' (not trained)'}", text)
        for kind, text in PROMPTS
        if is_trained(info, text) or not refuses
    ]


def advice(info: dict) -> str:
    """What a checkpoint can be asked. info: of `model.llm.checkpoint.Checkpoint`."""
    trained = trained_questions(info)
    if trained is None:
        return "It answers well only what it was trained on; any other answer is poor, however confident it sounds."
    reports = "and it writes reports" if REPORT in trained else "but it writes no reports"
    return (
        f"It answers {len(trained - {REPORT})} questions and other wordings of them, {reports}; anything else is "
        "refused with a reason."
    )


def how_sure(calibration: Calibration | None) -> str:
    """What the percentages of yes and no mean."""
    if calibration is None:
        return "Percentages are the model's own: they need not match how often it is right."
    recordings = max(line.n for line in calibration.questions.values())
    return (
        f"A percentage is how often such an answer was right in {recordings} validation ECGs, few of which have any "
        "one finding, unless it is not calibrated. Unsure: too rarely right, or right only because the finding is rare."
    )

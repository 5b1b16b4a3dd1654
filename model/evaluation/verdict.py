"""The conclusion of a result in words, and warnings about it."""

from collections.abc import Mapping
from typing import Any

from cardiolect.data_provider.examples import INSTRUCT_TASK, QA_TASK, REPORT_TASK
from cardiolect.model.evaluation.breakdown import FEWEST_PATIENTS
from cardiolect.model.evaluation.conditions import CONDITIONS, NO_ECG, OTHER_ECG
from cardiolect.model.prompt.tasks import MAJORITY, MAJORITY_CONTENT

_MEMORISED = (
    "To remember a patient looks like reading the ECG: scores may be too high, and no conclusion is drawn from them."
)
_TAUGHT_BY = {  # task -> the TASKTYPEs of training that contain it
    QA_TASK: (QA_TASK, INSTRUCT_TASK, "all"),
    REPORT_TASK: (REPORT_TASK, "all"),
    INSTRUCT_TASK: (INSTRUCT_TASK,),
}


def score_name(key: str) -> str:
    """The name of a score for readers; only ``em`` is not its own name."""
    return "exact match" if key == "em" else key


def gaps(result: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """The signal-use gaps: of the main score, and for reports also of their content."""
    return [result[key] for key in ("gap", "content_gap") if key in result]


def seen_alarm(result: Mapping[str, Any]) -> str:
    """Why nothing can be concluded from the scores: training has seen patients, or it is not known; else ""."""
    seen = result.get("seen")
    if seen is None:
        if (result.get("settings") or {}).get("keep_seen_patients"):
            return (
                "Patients that training has seen may be among those scored (KEEP_SEEN_PATIENTS=true); how many is not "
                f"known. {_MEMORISED}"
            )
        return ""
    if not seen["known"]:
        return (
            "It is not known whether training has seen these patients (leakage unknown): "
            f"{seen.get('unknown') or 'the checkpoint has no usable seen_recordings.json'}. {_MEMORISED}"
        )
    if seen["samples"]:
        return (
            f"Training has seen {seen['patients']} of these {result['patients']} patients ({seen['samples']} of "
            f"{result['samples']} samples, KEEP_SEEN_PATIENTS=true). {_MEMORISED}"
        )
    return ""


def verdict(result: Mapping[str, Any], gap: Mapping[str, Any]) -> str:
    """The meaning of a signal-use gap, in a sentence or two."""
    if seen_alarm(result):
        return "No conclusion about the use of the ECG can be drawn, see the warning."
    low, high = gap["ci95"]
    if low is None:
        return "All samples are of one patient, so there is no interval and no conclusion about other patients."
    if low > 0 and OTHER_ECG in result["conditions"]:
        text = "The interval lies above zero: the answers depend on the ECG."
    elif low > 0:
        text = (
            "The interval lies above zero: the model is better than these floors. To know whether the ECG matters, "
            "evaluate with another patient's ECG (FLOORS=other_ecg)."
        )
    elif high < 0:
        text = "The interval lies below zero: a floor without the ECG, or with another one, is better."
    else:
        text = "The interval covers zero: this evaluation does not show that the model uses the ECG."
    if result["patients"] < FEWEST_PATIENTS:
        text += f" With {result['patients']} patients it is too narrow: do not rely on it."
    return text


def not_taught(info: Mapping[str, Any], task: str) -> str:
    """What a checkpoint's training lacked for a task; empty if nothing.

    info: of `model.llm.checkpoint.Checkpoint`, or a result's ``checkpoint``.
    """
    if info.get("stage") == "pretrain":
        return (
            "The checkpoint was pretrained only and has not learned to answer, so scores near zero say nothing about "
            "its ECG tokens: run finetune.sh first."
        )
    trained = (info.get("settings") or {}).get("tasktype")
    if trained in (None, *_TAUGHT_BY[task]):
        return ""
    return f"The checkpoint was fine-tuned with TASKTYPE={trained}, not on what is asked here ({task})."


def warnings(result: Mapping[str, Any]) -> list[str]:
    """Reasons to be careful with the scores; first the `seen_alarm`, if there is one."""
    found = [alarm] if (alarm := seen_alarm(result)) else []
    if lacking := not_taught(result.get("checkpoint", {}), result.get("task", QA_TASK)):
        found.append(lacking)
    if "seen" not in result and not found:
        found.append("This result does not say whether training has seen its patients: an older version wrote it.")
    if unrecorded := result.get("seen", {}).get("unrecorded"):
        found.append(
            "Whether the list of seen recordings is complete cannot be checked: an earlier release wrote the "
            f"{unrecorded}."
        )
    training = result.get("checkpoint", {}).get("settings") or {}
    if NO_ECG in result["conditions"] and training.get("ecg_dropout") == 0:
        found.append("Training never left the ECG out (ECG_DROPOUT=0), so the model without it is not a fair floor.")
    if MAJORITY in result["conditions"] and "content_gap" in result and MAJORITY_CONTENT not in result["conditions"]:
        found.append(
            "The checkpoint keeps no constant report with the best content (fine-tune again), so the floor of "
            "content_f1 may be too low by a few points."
        )
    if result.get("cut_off"):
        cut = ", ".join(f"{CONDITIONS[name].heading} {n}" for name, n in result["cut_off"].items())
        found.append(f"Texts cut off by MAX_NEW_TOKENS: {cut}.")
    return found

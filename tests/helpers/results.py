"""Samples with known answers, and results of them."""

import json
from pathlib import Path

from cardiolect.model.evaluation.result import RESULT, write_result
from cardiolect.model.evaluation.samples import PREDICTIONS as PREDICTIONS_FILE
from cardiolect.model.evaluation.samples import Sample, write_samples
from cardiolect.model.llm.checkpoint_folder import fingerprint

PREDICTIONS = ["sinus rhythm.left bundle branch block", "atrial fibrillation", "normal ecg"]
REFERENCES = ["sinus rhythm.complete left bundle branch block", "atrial fibrillation.low voltage", "Normal ECG."]
SETTINGS = {"metrics": "strict", "bootstrap_resamples": 50, "seed": 0}


def samples_of(task, answers, texts, **more):
    """Samples of as many patients, of a model that says nothing to the first without the ECG."""
    return [
        Sample(
            f"s{i}",
            (str(i),),
            (i,),
            task,
            "which lead?",
            gold,
            "single-query",
            template_id=1,
            predictions={"with_ecg": text, "no_ecg": text if i else "", **{key: said[i] for key, said in more.items()}},
        )
        for i, (gold, text) in enumerate(zip(answers, texts, strict=True))
    ]


def evaluated(folder: Path, checkpoint: Path) -> Path:
    """A result of ``checkpoint`` with a known gap."""
    asked = samples_of("qa", [("yes",), ("no",), ("no",)], ["yes", "no", "yes"])
    settings = SETTINGS | {"data_root": ["/home/somebody/ptb-xl"], "checkpoint": str(checkpoint)}
    folder.mkdir()
    write_result(folder, asked, settings, {"checkpoint": {"fingerprint": fingerprint(checkpoint)}})
    return folder


def questions(right, floor=(), patients=None, kinds=("single-verify", "single-query")):
    """Yes-or-no questions, two about each patient unless said otherwise; ``right`` with the ECG, ``floor`` without."""
    floors = {"no_ecg": floor} if len(floor) else {}
    return [
        Sample(
            f"q{k}",
            (f"r{k // 2}",),
            (k // 2,) if patients is None else patients[k],
            "qa",
            f"question {k}?",
            ("yes",),
            kinds[k % len(kinds)],
            predictions={"with_ecg": "yes" if right[k] else "no"}
            | {name: "yes" if values[k] else "no" for name, values in floors.items()},
        )
        for k in range(len(right))
    ]


def written(folder, samples, metrics="strict", seed=0, fingerprint=None, **settings):
    """A result with its predictions and without its scores, as comparisons need it."""
    folder.mkdir()
    result = {
        "predictions": {"sha256": write_samples(folder / PREDICTIONS_FILE, samples)},
        "task": samples[0].task,
        "metrics": {"name": metrics},
        "settings": {"output_dir": str(folder), "metrics": metrics, **settings},
        "checkpoint": {"seed": seed, "fingerprint": fingerprint or str(folder)},
        "conditions": {},
    }
    (folder / RESULT).write_text(json.dumps(result))
    return folder

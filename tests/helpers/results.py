"""Samples with known answers, and results of them."""

from pathlib import Path

from cardiolect.model.evaluation.result import write_result
from cardiolect.model.evaluation.samples import Sample
from cardiolect.model.llm.checkpoint import fingerprint

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

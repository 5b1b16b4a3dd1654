"""Classes told from words alone: an ECG is compared with what a report says of each class, without any label.

Of an encoder that was trained with reports. Scores are cosines, as MERL's, or cosines less that with a normal report,
as CheXzero tells a finding from its absence (Tiu et al. 2022): an unclear ECG is less like any report. Thresholds come
from validation recordings (MERL takes the best ones on the test set).
"""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from cardiolect.data_provider.ecgqa.scp_statements import NAMES
from cardiolect.data_provider.record import resample, without_offsets
from cardiolect.ecg_tokenizer.encoders.objectives.alignment import CONFIG, AlignedEncoders
from cardiolect.ecg_tokenizer.encoders.representation import TEXT_FOLDER
from cardiolect.ecg_tokenizer.probe.features import Features
from cardiolect.utils.scp_codes import LABEL_TASKS, LabelTask

# Besides ECG-QA's names of the statements, as reports word them.
_AS_REPORTED = {
    "NORM": "normal ECG",
    "IMI": "inferior infarct",
    "ASMI": "anteroseptal infarct",
    "ILMI": "inferolateral infarct",
    "AMI": "anterior infarct",
    "ALMI": "anterolateral infarct",
    "LMI": "lateral infarct",
    "PMI": "posterior infarct",
    "IPMI": "inferoposterior infarct",
    "IPLMI": "inferoposterolateral infarct",
    "INJAS": "anteroseptal injury",
    "INJAL": "anterolateral injury",
    "INJIN": "inferior injury",
    "INJIL": "inferolateral injury",
    "INJLA": "lateral injury",
    "NDT": "nonspecific T wave abnormality",
    "NST_": "nonspecific ST changes",
    "DIG": "digitalis effect",
    "LNGQT": "prolonged QT interval",
    "ISC_": "myocardial ischemia",
    "ISCAN": "anterior ischemia",
    "ISCAS": "anteroseptal ischemia",
    "ISCAL": "anterolateral ischemia",
    "ISCIN": "inferior ischemia",
    "ISCIL": "inferolateral ischemia",
    "ISCLA": "lateral ischemia",
    "ANEUR": "ST-T changes compatible with ventricular aneurysm",
    "EL": "electrolyte disturbance or drug effect",
    "LAFB": "left anterior hemiblock",
    "LPFB": "left posterior hemiblock",
    "IRBBB": "incomplete right bundle branch block",
    "CRBBB": "right bundle branch block",
    "ILBBB": "incomplete left bundle branch block",
    "CLBBB": "left bundle branch block",
    "IVCD": "nonspecific intraventricular conduction delay",
    "1AVB": "first degree AV block",
    "2AVB": "second degree AV block",
    "3AVB": "third degree AV block",
    "WPW": "Wolff-Parkinson-White syndrome",
    "LVH": "left ventricular hypertrophy",
    "RVH": "right ventricular hypertrophy",
    "SEHYP": "septal hypertrophy",
    "LAO/LAE": "left atrial enlargement",
    "RAO/RAE": "right atrial enlargement",
    "ABQRS": "abnormal QRS",
    "PVC": "ventricular extrasystoles",
    "PAC": "supraventricular extrasystoles",
    "STD_": "ST depression",
    "STE_": "ST elevation",
    "INVT": "inverted T waves",
    "LOWT": "low T waves",
    "NT_": "nonspecific T wave changes",
    "TAB_": "T wave abnormality",
    "QWAVE": "Q waves",
    "VCLVH": "voltage criteria for left ventricular hypertrophy",
    "LVOLT": "low voltage",
    "HVOLT": "high voltage",
    "LPR": "prolonged PR interval",
    "PRC(S)": "premature complexes",
    "SVARR": "supraventricular arrhythmia",
    "SVTAC": "supraventricular tachycardia",
    "PSVT": "paroxysmal supraventricular tachycardia",
    "BIGU": "bigeminy",
    "TRIGU": "trigeminy",
    "SR": "sinus rhythm",
    "SBRAD": "sinus bradycardia",
    "STACH": "sinus tachycardia",
    "SARRH": "sinus arrhythmia",
    "AFIB": "atrial fibrillation",
    "AFLT": "atrial flutter",
    "PACE": "pacemaker rhythm",
}


NORMAL = ("Normal ECG.", "Sinus rhythm. Normal ECG.")


def prompts(code: str) -> tuple[str, ...]:
    """The sentences that stand for an SCP statement, each once."""
    names = (NAMES.get(code, _AS_REPORTED[code]), _AS_REPORTED[code])
    return tuple(dict.fromkeys(f"{name[0].upper()}{name[1:]}." for name in names))


def aligned(folders: Mapping[str, Path]) -> dict[str, AlignedEncoders]:
    """Those that were trained with reports, by name."""
    return {
        name: AlignedEncoders.from_pretrained(folder)
        for name, folder in folders.items()
        if (folder / TEXT_FOLDER / CONFIG).is_file()
    }


def embedding_of(model: AlignedEncoders) -> Features:
    """The unit vector ``(width,)`` of a signal as it was read."""
    return lambda signal, fs: model.embed_ecg(_as_seen(model, signal, fs))[0].cpu().numpy()


def scores_of(model: AlignedEncoders, task: LabelTask) -> Features:
    """Cosines and those less a normal ECG's ``(2, classes)`` of a signal as it was read."""
    scorer = ZeroShot(model, task)
    return lambda signal, fs: torch.cat(scorer(_as_seen(model, signal, fs))).cpu().numpy()


def _as_seen(model: AlignedEncoders, signal: np.ndarray, fs: float) -> Tensor:
    rate = model.representation.sampling_rate
    return torch.from_numpy(without_offsets(resample(signal, fs, rate)))[None].float()


class ZeroShot:
    """Scores of the classes of a task, in alphabetical order, by an encoder that was trained with reports."""

    def __init__(self, model: AlignedEncoders, task: LabelTask):
        self.model = model
        self.classes = tuple(sorted(set(LABEL_TASKS[task].values())))
        self.vectors = torch.stack([self._vector(name, task) for name in self.classes])
        self.normal = F.normalize(model.embed_texts(NORMAL).mean(0), dim=0)
        self.subtracted = torch.tensor([float(name != "NORM") for name in self.classes], device=self.normal.device)

    def _vector(self, name: str, task: LabelTask) -> Tensor:
        """The direction of a class: the mean over its statements, each the mean of its prompts."""
        codes = [code for code, class_ in LABEL_TASKS[task].items() if class_ == name]
        statements = [F.normalize(self.model.embed_texts(prompts(code)).mean(0), dim=0) for code in codes]
        return F.normalize(torch.stack(statements).mean(0), dim=0)

    def __call__(self, signal: Tensor) -> tuple[Tensor, Tensor]:
        """``(batch, 12, samples)`` mV at the encoder's rate -> cosines ``(batch, classes)``, and less a normal ECG's.

        The second are equal to the first of NORM.
        """
        ecg = self.model.embed_ecg(signal)
        cosines = ecg @ self.vectors.T
        return cosines, cosines - (ecg @ self.normal)[:, None] * self.subtracted

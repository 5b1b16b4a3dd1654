"""How well a model trained only on simulated patients reads real ECGs: default, varied, and varied with real noise.

    python -m bench.sim_to_real --data data/ptb-xl [--folds 1-8] [--records 3000] [--kinds default,varied]

There is no language model: a small convolutional network, trained on simulated labels, is scored on the real recordings
of the given folds, at the threshold of the simulation (one half, with equal class weights). Real labels are used for
training only in the last row of each finding, an upper bound from cross-validation over patients. AUROC shows whether
what was learned transfers; balanced accuracy shows whether scales and thresholds fit as well. ``separable from real``
is how well the network separates simulated recordings from real ones (0.5: not at all). Real noise comes from the same
folds; it holds no beats and no labels. Intervals are over patients; means are over the findings that at least
5 patients have and 5 have not, and the table shows all findings.
"""

import ast
import csv
from collections.abc import Callable, Hashable, Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import GroupKFold
from torch import nn
from tqdm import tqdm

from bench.harness import benchmark_parser, report
from cardiolect.data_provider.corpora.ptbxl_database import DATABASE_NAME, load_database, parse_folds
from cardiolect.data_provider.ecgqa.findings import AXES
from cardiolect.data_provider.ecgqa.labels import clinical_axis_of
from cardiolect.data_provider.ecgqa.r_peaks import rr_interval
from cardiolect.data_provider.ecgqa.scp_statements import Standing, standing
from cardiolect.data_provider.readers import read_record
from cardiolect.data_provider.record import resample
from cardiolect.data_provider.simulator.patients import draw_patient
from cardiolect.data_provider.simulator.ptbxl_tables import scp_codes
from cardiolect.data_provider.simulator.render import simulate
from cardiolect.data_provider.simulator.truth import Truth
from cardiolect.data_provider.simulator.varied.real_noise import noise_library
from cardiolect.data_provider.simulator.varied.render import simulate_varied
from cardiolect.data_provider.simulator.varied.truth import VariedTruth
from cardiolect.utils.command_line import run_command
from cardiolect.utils.errors import UserError
from cardiolect.utils.metrics import NO, YES, verify_means

FS = 125.0  # input of the network; R peaks are found at 250 Hz, the rate of the tokenizer
SECONDS = 10
RATE_MARGIN = 1.5  # bpm around the limits of 60 and 100 within which a rate has no label
KINDS = ("default", "varied", "varied + real noise")
CODES = {  # finding -> codes of PTB-XL, any of which states it
    "atrial fibrillation": ("AFIB",),
    "left bundle branch block": ("CLBBB",),
    "right bundle branch block": ("CRBBB",),
    "LVH": ("LVH", "VCLVH"),
    "inferior infarction": ("IMI", "ILMI", "IPMI", "IPLMI"),
    "anterior infarction": ("ASMI", "AMI", "ALMI"),
    "incomplete RBBB": ("IRBBB",),
    "left anterior fascicular": ("LAFB",),
    "first degree AV block": ("1AVB",),
    "sinus arrhythmia": ("SARRH",),
    "ST depression": ("STD_",),
    "inverted T": ("INVT",),
    "Q waves": ("QWAVE",),
    "ventricular ectopy": ("PVC",),
}
UNCERTAIN = {  # finding -> codes that leave it open: injury of the same wall, ectopy of an unnamed kind
    "inferior infarction": ("INJIN", "INJIL"),
    "anterior infarction": ("INJAS", "INJAL"),
    "ventricular ectopy": ("BIGU", "TRIGU"),
    "inverted T": ("NT_", "TAB_"),
    "ST depression": ("NST_",),
}
FINDINGS = ("slow", "fast", *CODES, "left axis", "right axis")
OPEN = np.nan  # label of a finding that is neither present nor absent


def rate_labels(rate: float) -> list[float]:
    """Labels of slow and fast for a rate in beats per minute."""
    return [
        OPEN if not abs(rate - limit) > RATE_MARGIN else float(sign * (rate - limit) > 0)
        for limit, sign in ((60, -1), (100, 1))
    ]


def axis_labels(axis: str | None) -> list[float]:
    return [OPEN if axis is None else float(axis == name) for name in AXES[1:]]


def simulated_labels(truth: Truth) -> list[float]:
    stated = set(truth.codes) if isinstance(truth, VariedTruth) else set(scp_codes(truth))
    left_open = set(truth.open) if isinstance(truth, VariedTruth) else set()
    codes = [1.0 if stated & set(any_of) else OPEN if left_open & set(any_of) else 0.0 for any_of in CODES.values()]
    return [*rate_labels(truth.heart_rate), *codes, *axis_labels(truth.axis)]


def real_labels(row: dict[str, str], rate: float) -> list[float]:
    stated = ast.literal_eval(row["scp_codes"])
    sure = {code for code, likelihood in stated.items() if standing(code, likelihood) is Standing.STATED}

    def label(finding: str, codes: tuple[str, ...]) -> float:
        if sure & set(codes):
            return 1.0
        return OPEN if {*codes, *UNCERTAIN.get(finding, ())} & stated.keys() else 0.0

    findings = [label(finding, codes) for finding, codes in CODES.items()]
    return [*rate_labels(rate), *findings, *axis_labels(clinical_axis_of(row))]


def preprocess(signal: np.ndarray, fs: float) -> np.ndarray:
    """``(12, T)`` mV -> float32 ``(12, 1250)``, with the median of each lead subtracted."""
    signal = resample(signal, fs, FS)[:, : int(SECONDS * FS)]
    signal = np.pad(signal, ((0, 0), (0, int(SECONDS * FS) - signal.shape[1])))
    return np.clip(signal - np.median(signal, axis=1, keepdims=True), -5, 5)


def load_real(root: Path, folds: frozenset[int]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Signals ``(n, 12, 1250)``, labels ``(n, findings)`` and patients ``(n,)`` of recordings of PTB-XL."""
    with (root / DATABASE_NAME).open(newline="", encoding="utf-8") as file:
        rows = {str(int(row["ecg_id"])): row for row in csv.DictReader(file)}
    refs = [ref for ref in load_database(root, "--data").values() if ref.fold in folds]
    if not refs:
        raise UserError(f"--folds: {root} has no recordings of these folds")
    signals, labels = [], []
    for ref in tqdm(refs, desc="real recordings", unit="ECG", disable=None):
        record = read_record(ref)
        rate = 60_000 / rr_interval(resample(record.signal, record.fs, 250), 250)
        signals.append(preprocess(record.signal, record.fs))
        labels.append(real_labels(rows[ref.record_id], rate))
    return np.stack(signals), np.array(labels), np.array([ref.patient_id for ref in refs])


def load_simulated(kind: str, records: int, seed: int, library: np.ndarray | None) -> tuple[np.ndarray, np.ndarray]:
    """Signals and labels as in `load_real`, of one recording each of ``records`` simulated patients."""
    draw: Callable = simulate if kind == "default" else lambda *key: simulate_varied(*key, library=library)
    signals, labels = [], []
    for i in tqdm(range(records), desc=kind, unit="ECG", disable=None):
        truth, signal = draw(seed, i, draw_patient(seed, i, 1))
        signals.append(preprocess(signal, 500))
        labels.append(simulated_labels(truth))
    return np.stack(signals), np.array(labels)


class Network(nn.Module):
    """Strided residual convolutions, pooling over time, one logit per finding."""

    def __init__(self, findings: int, width: int = 32):
        super().__init__()
        self.stem = nn.Conv1d(12, width, 9, stride=2, padding=4)
        sizes = (width, 48, 64, 96, 128)
        self.blocks = nn.ModuleList(
            nn.Sequential(
                nn.BatchNorm1d(a),
                nn.ReLU(),
                nn.Conv1d(a, b, 7, stride=2, padding=3),
                nn.BatchNorm1d(b),
                nn.ReLU(),
                nn.Conv1d(b, b, 5, padding=2),
            )
            for a, b in pairwise(sizes)
        )
        self.skips = nn.ModuleList(nn.Conv1d(a, b, 1, stride=2) for a, b in pairwise(sizes))
        self.head = nn.Sequential(nn.Dropout(0.3), nn.Linear(3 * sizes[-1], findings))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.stem(x)
        for block, skip in zip(self.blocks, self.skips, strict=True):
            x = block(x) + skip(x)
        return self.head(torch.cat([x.mean(-1), x.amax(-1), x.std(-1)], dim=1))


def fit(signals: np.ndarray, labels: np.ndarray, epochs: int, seed: int = 0) -> Network:
    """Train one network for all findings; present and absent have equal weight, open labels are ignored."""
    torch.manual_seed(seed)
    rng = np.random.default_rng(seed)
    x, y = torch.from_numpy(signals.astype(np.float32)), torch.from_numpy(labels.astype(np.float32))
    known = ~torch.isnan(y)
    positive = ((y == 1) & known).sum(0).clamp(min=1) / known.sum(0).clamp(min=1)
    weight = torch.where(y == 1, 0.5 / positive, 0.5 / (1 - positive).clamp(min=1e-3)) * known
    network = Network(labels.shape[1])
    optimizer = torch.optim.AdamW(network.parameters(), lr=2e-3, weight_decay=0.02)
    batch = 64
    steps = max(epochs * (len(x) // batch), 1)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 3e-3, total_steps=steps + epochs + 1)
    for _ in tqdm(range(epochs), desc="training", unit="epoch", leave=False, disable=None):
        order = rng.permutation(len(x))
        for rows in np.array_split(order, max(len(x) // batch, 1)):
            part = x[rows]
            shift = int(rng.integers(part.shape[-1]) * 0.1)
            part = torch.roll(part, shift, dims=-1) * (1 + 0.05 * torch.randn(len(rows), 1, 1))
            loss = F.binary_cross_entropy_with_logits(network(part), y[rows].nan_to_num(), weight[rows])
            optimizer.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(network.parameters(), 1.0)
            optimizer.step()
            schedule.step()
    return network.eval()


@torch.inference_mode()
def logits(network: Network, signals: np.ndarray) -> np.ndarray:
    return np.concatenate(
        [
            network(torch.from_numpy(part.astype(np.float32))).numpy()
            for part in np.array_split(signals, max(len(signals) // 128, 1))
        ]
    )


def cross_validated_logits(signals: np.ndarray, labels: np.ndarray, patients: np.ndarray, epochs: int) -> np.ndarray:
    """Logits of each recording from a network trained on other patients, in five folds."""
    predictions = np.zeros(labels.shape)
    for train, test in GroupKFold(5).split(signals, groups=patients):
        predictions[test] = logits(fit(signals[train], labels[train], epochs), signals[test])
    return predictions


def scores(
    predictions: np.ndarray, labels: np.ndarray, source: str, patients: Sequence[Hashable] | None = None
) -> list[dict]:
    """One row per finding and one with their means; figures are None if no recording has, or lacks, the finding.

    Intervals and the rule which findings count in the means are those of `verify_means`. patients: of the recordings,
    ``(n,)``; without them, each recording counts as a patient of its own.
    """
    places, columns = np.nonzero(~np.isnan(labels))
    truths, logit = labels[places, columns] == 1, predictions[places, columns]
    found, means = verify_means(
        [FINDINGS[k] for k in columns],
        [(YES,) if truth else (NO,) for truth in truths],
        [YES if value > 0 else NO for value in logit],
        logit.tolist(),
        [int(i) if patients is None else patients[i] for i in places],
    )
    rows = []
    for k, finding in enumerate(FINDINGS):
        known = labels[~np.isnan(labels[:, k]), k]
        row = {"finding": finding, "trained on": source, "positives": int((known == 1).sum()), "of": len(known)}
        each = found.get(finding, {})
        rows.append(row | {"in mean": "yes" if each.get("in_mean") else "no"} | _figures(each))
    name = f"mean of {means['counted']}, {len(FINDINGS) - means['counted']} left out"
    mean = dict.fromkeys(rows[0]) | {"finding": name, "trained on": source} | _figures(means)
    return [*rows, mean]


def _figures(found: Mapping[str, Any]) -> dict[str, Any]:
    def ends(key: str) -> str | None:
        return "{:.2f}-{:.2f}".format(*found[f"{key}_ci95"]) if key in found else None

    return {
        "AUROC": found.get("auroc"),
        "AUROC 95 %": ends("auroc"),
        "sensitivity": found.get("sensitivity"),
        "specificity": found.get("specificity"),
        "balanced": found.get("balanced_accuracy"),
        "balanced 95 %": ends("balanced_accuracy"),
    }


def separability(simulated_signals: np.ndarray, real_signals: np.ndarray, patients: np.ndarray, epochs: int) -> float:
    """Cross-validated AUROC of separating real recordings from simulated ones."""
    x = np.concatenate([simulated_signals[: len(real_signals)], real_signals])
    y = np.r_[np.zeros(len(x) - len(real_signals)), np.ones(len(real_signals))][:, None]
    groups = np.r_[[f"simulated {i}" for i in range(len(x) - len(real_signals))], patients]
    return float(roc_auc_score(y[:, 0], cross_validated_logits(x, y, groups, epochs)[:, 0]))


def main() -> None:
    parser = benchmark_parser(__doc__)
    parser.add_argument("--data", type=Path, required=True, help="folder of PTB-XL")
    parser.add_argument(
        "--folds", default="1-8", help="folds of the real recordings to score and to take noise from (default: 1-8)"
    )
    parser.add_argument("--records", type=int, default=3000, help="simulated recordings per kind")
    parser.add_argument("--epochs", type=int, default=12, help="training epochs on simulated recordings")
    parser.add_argument("--seed", type=int, default=11)
    parser.add_argument("--kinds", default=",".join(KINDS), help="kinds of simulation, separated by commas")
    arguments = parser.parse_args()
    if unknown := set(arguments.kinds.split(",")) - set(KINDS):
        raise UserError(f"--kinds {', '.join(sorted(unknown))}: choose from {', '.join(KINDS)}")
    torch.set_num_threads(arguments.threads)
    folds = parse_folds(arguments.folds, "--folds")
    signals, labels, patients = load_real(arguments.data, folds)
    rows, notes = [], []
    for kind in arguments.kinds.split(","):
        library = noise_library(arguments.data, folds) if kind == KINDS[2] else None
        x, y = load_simulated(kind, arguments.records, arguments.seed, library)
        rows += scores(logits(fit(x, y, arguments.epochs), signals), labels, kind, patients)
        notes.append(f"{kind} separable from real: AUROC {separability(x, signals, patients, 6):.3f}")
    bound = cross_validated_logits(signals, labels, patients, 3 * arguments.epochs)
    rows += scores(bound, labels, "real, cross-validated", patients)
    place = {finding: k for k, finding in enumerate(FINDINGS)}
    rows.sort(key=lambda row: place.get(row["finding"], len(place)))  # means last
    report("sim_to_real", rows, arguments.out, "; ".join(notes))


if __name__ == "__main__":
    run_command(main)

"""Frozen linear probe: what a logistic regression reads of PTB-XL's superclasses in codes, and in raw signals."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import GroupKFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler, normalize
from torch import nn

from cardiolect.ecg_tokenizer.codes.coarse import WIDTH as COARSE_WIDTH
from cardiolect.ecg_tokenizer.codes.tokenizer import ECGTokenizer
from cardiolect.ecg_tokenizer.fidelity.judging import Validation, judge
from cardiolect.utils.progress import progress

KERNELS, KERNEL_LENGTH = 1000, 9
NEIGHBOURS = 20
STRENGTHS = (1e-5, 1e-4, 1e-3, 1e-2, 1e-1)  # candidates for the inverse penalty, chosen on training patients


@dataclass(frozen=True)
class ProbeData:
    """One side of the probe: features ``(n, dims)`` by kind, labels ``(n, classes)``, patients ``(n,)``."""

    features: dict[str, np.ndarray]
    labels: np.ndarray
    patients: np.ndarray


# Training data, the sides to score, kind of features, classes -> scores ``(records, classes)`` of each side
Scorer = Callable[[ProbeData, Sequence[ProbeData], str, list[int]], list[np.ndarray]]


def code_dims(tokenizer: ECGTokenizer) -> int:
    """Dimensions of `code_series`."""
    return tokenizer.config.hidden + (COARSE_WIDTH if tokenizer.config.coarse_frames else 0)


def code_series(tokenizer: ECGTokenizer, codes: np.ndarray) -> np.ndarray:
    """Codes of one ECG as a signal ``(dims, frames)``: quantized features, of unit deviation over the codebooks.

    The features of a coarse code stand below those of each of its frames.
    """
    with torch.inference_mode():
        frames, coarse = tokenizer.layout.split(torch.from_numpy(codes.astype(np.int64))[None].to(tokenizer.device))
        series = _standardised_features(tokenizer.quantizer, frames)
        if coarse is not None:
            slow = _standardised_features(tokenizer.coarse.quantizer, coarse)
            slow = slow.repeat_interleave(tokenizer.config.coarse_frames, dim=0)[: len(series)]
            series = torch.cat([series, slow], dim=1)
    return series.T.cpu().numpy()


def _standardised_features(quantizer: nn.Module, codes: torch.Tensor) -> torch.Tensor:
    books = quantizer.vectors().unflatten(0, (quantizer.num_codebooks, -1))
    deviation = books.var(1).sum(0).sqrt().mean().clamp(min=1e-6)
    return (quantizer.lookup(codes)[0] - books.mean(1).sum(0)) / deviation


class RandomConvolutions:
    """Features of signals: share of positive values and maximum of random dilated convolutions.

    For raw signals, reconstructions and codes alike, of kernels that span under 1 s where frames allow it; a code
    brings what its encoder saw around it on top. After ROCKET (Dempster et al. 2020, DMKD 34:1454), a strong linear
    baseline on time series that learns nothing.
    """

    def __init__(self, channels: int, fs: float, seed: int = 0):
        rng = torch.Generator().manual_seed(seed)
        dilations = [d for d in (1, 2, 4, 8, 16, 32) if d * KERNEL_LENGTH < fs] or [1]
        self.kernels = []
        for dilation in dilations:
            weight = torch.randn(KERNELS // len(dilations), channels, KERNEL_LENGTH, generator=rng)
            mask = torch.rand(weight.shape[0], channels, 1, generator=rng) < 3 / channels  # about three at a time
            mask[torch.arange(len(mask)), torch.randint(channels, (len(mask),), generator=rng)] = True
            weight = (weight - weight.mean(dim=2, keepdim=True)) * mask
            self.kernels.append((dilation, weight / weight.flatten(1).norm(dim=1)[:, None, None]))
        self.bias = torch.rand(KERNELS, generator=rng) * 0.2  # above it (mV of a signal) a response counts as positive

    @torch.inference_mode()
    def __call__(self, signal: np.ndarray) -> np.ndarray:
        """``(channels, T)`` -> two numbers per kernel, about ``(2 * KERNELS,)``."""
        x, start, found = torch.from_numpy(signal.astype(np.float32))[None], 0, []
        longest = max((KERNEL_LENGTH - 1) * dilation + 1 for dilation, _ in self.kernels)
        x = F.pad(x, (0, max(0, longest - x.shape[-1])))
        for dilation, weight in self.kernels:
            response = F.conv1d(x, weight, dilation=dilation)[0]
            bias = self.bias[start : start + len(weight), None]
            found += [(response > bias).float().mean(dim=1), response.amax(dim=1)]
            start += len(weight)
        return torch.cat(found).numpy()


def probe(
    train: ProbeData,
    test: ProbeData,
    names: Sequence[str],
    seed: int = 0,
    resamples: int = 500,
    scores: Scorer | None = None,
    valid: ProbeData | None = None,
) -> dict:
    """What `judge` finds of the classes that both sides hold, per kind of features.

    The penalty is chosen by cross-validation over training patients. scores: in place of logistic regression, such as
    `nearest_scores`. valid: where thresholds are chosen. Empty where no class can be judged.
    """
    told = [side.labels.any(axis=0) & ~side.labels.all(axis=0) for side in (train, test)]
    kept = np.flatnonzero(told[0] & told[1]).tolist()
    if not kept:
        return {}
    sides = [test, valid] if valid else [test]
    each = {kind: (scores or linear_scores)(train, sides, kind, kept) for kind in train.features}
    found, *others = ({kind: of_sides[k] for kind, of_sides in each.items()} for k in range(len(sides)))
    validation = Validation(others[0], valid.labels[:, kept]) if valid else None
    judged = judge(found, test.labels[:, kept], test.patients, [names[k] for k in kept], seed, resamples, validation)
    return judged and {"records": [len(train.labels), len(test.labels)], **judged}


def nearest_scores(train: ProbeData, sides: Sequence[ProbeData], kind: str, kept: list[int]) -> list[np.ndarray]:
    """The share of the `NEIGHBOURS` nearest training recordings that have each class.

    By the cosine of features standardised over training.
    """
    scaler = StandardScaler().fit(train.features[kind])
    fitted, *judged = (normalize(scaler.transform(side.features[kind])) for side in (train, *sides))
    nearest = (np.argsort(-side @ fitted.T, axis=1, kind="stable")[:, :NEIGHBOURS] for side in judged)
    return [train.labels[:, kept][rows].mean(axis=1) for rows in nearest]


def linear_scores(train: ProbeData, sides: Sequence[ProbeData], kind: str, kept: list[int]) -> list[np.ndarray]:
    """Decision values of logistic regressions, one for each class."""
    x = train.features[kind]
    found: list[list[np.ndarray]] = [[] for _ in sides]
    patients = len(np.unique(train.patients))
    folds = list(GroupKFold(min(5, patients)).split(x, groups=train.patients)) if patients > 1 else []
    for k in progress(kept, desc=f"probe on {kind}", unit="class", leave=False):
        y, quality = train.labels[:, k], []
        for strength in STRENGTHS:
            guessed = np.zeros(len(y))
            for fit, left in folds:
                if 0 < y[fit].sum() < len(fit):
                    guessed[left] = _fit(x[fit], y[fit], strength).decision_function(x[left])
            quality.append(roc_auc_score(y, guessed))
        model = _fit(x, y, STRENGTHS[int(np.argmax(quality))])
        for side, columns in zip(sides, found, strict=True):
            columns.append(model.decision_function(side.features[kind]))
    return [np.stack(columns, axis=1) for columns in found]


def _fit(x: np.ndarray, y: np.ndarray, strength: float):
    model = LogisticRegression(C=strength, max_iter=2000, class_weight="balanced")
    return make_pipeline(StandardScaler(), model).fit(x, y)

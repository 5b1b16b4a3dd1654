"""What probes read of an ECG: a vector for each recording, made in the same way of whatever is a series in time.

Of signals, quantized codes and rows of an encoder alike: mean, maximum and standard deviation of every channel, and
random convolutions (after ROCKET), which learn nothing. Symbols are counted, because they stand for stretches of
different lengths.
"""

import time
from collections.abc import Callable, Mapping, Sequence

import numpy as np
import torch

from cardiolect.data_provider.examples import RecordRef
from cardiolect.data_provider.record import LEADS, resample, without_offsets
from cardiolect.data_provider.storage.stream import stream_signals
from cardiolect.ecg_tokenizer.base import ECGRepresentation
from cardiolect.ecg_tokenizer.codes.tokenizer import ECGTokenizer
from cardiolect.ecg_tokenizer.encoders.representation import ECGEncoder
from cardiolect.ecg_tokenizer.fidelity.probe import ProbeData, RandomConvolutions, code_dims, code_series
from cardiolect.ecg_tokenizer.measured.representation import CODES, MEASURED, MeasuredECG
from cardiolect.utils.errors import UserError

RAW_RATE, READ_RATE = 250, 500
Features = Callable[[np.ndarray, float], np.ndarray]  # mV (12, T) and its rate -> one vector


def raw_features(seed: int) -> Features:
    """Those of the signal itself at `RAW_RATE`."""
    convolve = RandomConvolutions(len(LEADS), RAW_RATE, seed)
    return lambda signal, fs: of_series(without_offsets(resample(signal, fs, RAW_RATE)), convolve)


def features_of(representation: ECGRepresentation, seed: int) -> Features:
    """The features of a representation that a probe reads. Raises `UserError` if it has none of its own."""
    if isinstance(representation, ECGTokenizer):
        of_codes = _of_codes(representation, seed)
        return lambda signal, fs: of_codes(representation.prepare([signal], fs)[0])
    if isinstance(representation, MeasuredECG):
        return _of_measured(representation, seed)
    if isinstance(representation, ECGEncoder):
        return _EncoderFeatures(representation, seed)
    if representation.embeds or representation.vocabulary_size < 2:
        raise UserError(f"{representation.name} are samples of the raw signal, which is probed in any case")
    size = representation.vocabulary_size
    return lambda signal, fs: _counts(representation.token_ids(representation.prepare([signal], fs)[0]), size)


def of_series(series: np.ndarray, convolve: RandomConvolutions) -> np.ndarray:
    """``(channels, T)`` -> mean, maximum and deviation of each channel, then random convolutions."""
    return np.concatenate([_statistics(series), convolve(series)])


def _statistics(series: np.ndarray) -> np.ndarray:
    return np.concatenate([series.mean(1), series.max(1), series.std(1)]).astype(np.float32)


def _counts(tokens: Sequence[int] | np.ndarray, size: int) -> np.ndarray:
    return np.log1p(np.bincount(tokens, minlength=size)).astype(np.float32)


def _of_codes(tokenizer: ECGTokenizer, seed: int) -> Callable[[np.ndarray], np.ndarray]:
    convolve = RandomConvolutions(code_dims(tokenizer), tokenizer.frame_rate, seed)
    return lambda codes: of_series(code_series(tokenizer, codes), convolve)


def _of_measured(representation: MeasuredECG, seed: int) -> Features:
    """The features of its codes, and counts of its measured values."""
    of_codes, tokens = _of_codes(representation.tokenizer, seed), representation.measured

    def features(signal: np.ndarray, fs: float) -> np.ndarray:
        parts = representation.parts(representation.prepare([signal], fs)[0])
        values = parts[MEASURED].astype(np.int64) - tokens.first
        return np.concatenate([of_codes(parts[CODES]), _counts(values, tokens.size)])

    return features


class _EncoderFeatures:
    """Statistics over all rows, and convolutions over time; of rows that are lead after lead, those of all leads at
    once. The first ECG decides how many leads, and how many rows a second, convolutions are made for."""

    def __init__(self, encoder: ECGEncoder, seed: int):
        self.encoder, self.seed = encoder, seed
        self.leads, self.convolve = 0, None

    def __call__(self, signal: np.ndarray, fs: float) -> np.ndarray:
        item = self.encoder.prepare([signal], fs)[0]
        with torch.inference_mode():
            rows = self.encoder.embed([torch.from_numpy(item).float().to(self.encoder.device)]).cpu().numpy()
        if self.convolve is None:
            times = self.encoder.times(item)
            moments = len(np.unique(times[:, 0]))
            self.leads = len(rows) // moments if moments > 1 and len(rows) % moments == 0 else 1
            rate = len(rows) / self.leads / float(times[:, 1].max())
            self.convolve = RandomConvolutions(self.leads * rows.shape[1], rate, self.seed)
        series = rows.reshape(self.leads, -1, rows.shape[1]).transpose(0, 2, 1)
        return np.concatenate([_statistics(rows.T), self.convolve(series.reshape(-1, series.shape[2]))])


def collect(
    refs: Sequence[RecordRef], features: Mapping[str, Features], workers: int, what: str
) -> tuple[list[RecordRef], dict[str, np.ndarray], dict[str, float]]:
    """The recordings that could be read, their features ``(n, dims)`` and the seconds that each kind took."""
    used: list[RecordRef] = []
    rows: dict[str, list[np.ndarray]] = {kind: [] for kind in features}
    seconds = dict.fromkeys(features, 0.0)
    for ref, signal, _, _ in stream_signals(refs, READ_RATE, workers, what):
        for kind, compute in features.items():
            begin = time.perf_counter()
            rows[kind].append(compute(signal, READ_RATE))
            seconds[kind] += time.perf_counter() - begin
        used.append(ref)
    if not used:
        raise UserError(f"{what}: none of {len(refs)} recordings could be read")
    return used, {kind: np.stack(each) for kind, each in rows.items()}, seconds


def shared(data: ProbeData, share: float, seed: int) -> ProbeData:
    """A share of the patients, drawn by the seed: those of a smaller share are among those of a larger one."""
    rows = np.isin(data.patients, shared_patients(data.patients, share, seed))
    features = {kind: values[rows] for kind, values in data.features.items()}
    return ProbeData(features, data.labels[rows], data.patients[rows])


def shared_patients(patients: Sequence[str] | np.ndarray, share: float, seed: int) -> np.ndarray:
    """The patients of a share."""
    known = np.unique(patients)
    return np.random.default_rng(seed).permutation(known)[: max(1, round(share * len(known)))]

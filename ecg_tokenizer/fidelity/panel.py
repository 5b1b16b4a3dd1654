"""The fidelity panel: what a tokenizer keeps of an ECG, as a table, JSON and a picture.

    cardiolect fidelity --tokenizer DIR --data PTBXL --folds 9-10 --probe-folds 1-8 --out DIR

Distortion in millivolts and rate; what a reader measures (R peaks, heart rate, QRS, PR, QT); what a linear probe reads
of PTB-XL's superclasses. Everything is measured at the tokenizer's sampling rate.
"""

import json
import multiprocessing
from collections.abc import Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import numpy as np
from tqdm import tqdm

from cardiolect.data_provider.ecgqa.scp_classes import load_superclasses
from cardiolect.data_provider.examples import RecordRef
from cardiolect.data_provider.record import LEADS
from cardiolect.ecg_tokenizer.codes.tokenizer import ECGTokenizer
from cardiolect.ecg_tokenizer.fidelity import rhythm
from cardiolect.ecg_tokenizer.fidelity.distortion import EINTHOVEN, einthoven_residual, prdn, rmse, snr
from cardiolect.ecg_tokenizer.fidelity.picture import draw_fidelity
from cardiolect.ecg_tokenizer.fidelity.probe import ProbeData, RandomConvolutions, code_dims, code_series, probe
from cardiolect.ecg_tokenizer.fidelity.reconstruction import Measured, reconstruct
from cardiolect.ecg_tokenizer.fidelity.selection import choose
from cardiolect.ecg_tokenizer.fidelity.table import table
from cardiolect.utils.command_line import Parser
from cardiolect.utils.errors import UserError, make_folder
from cardiolect.utils.scp_codes import SUPERCLASSES


def distortion(measured: Sequence[Measured]) -> dict:
    """PRDN, SNR and RMSE over recordings, the same per lead, and Einthoven's residual before and after."""
    per_record = [prdn(m.signal[m.present], m.decoded[m.present]) for m in measured]
    leads = {}
    for row, lead in enumerate(LEADS):
        pairs = [(m.signal[[row]], m.decoded[[row]]) for m in measured if m.present[row]]
        if pairs:
            leads[lead] = {f.__name__: float(np.mean([f(*pair) for pair in pairs])) for f in (prdn, snr, rmse)}
    figures = {
        "prdn": float(np.mean(per_record)),
        "prdn_median": float(np.median(per_record)),
        "prdn_worst": float(np.max(per_record)),
        "snr_db": float(np.mean([snr(m.signal[m.present], m.decoded[m.present]) for m in measured])),
        "rmse_mv": float(np.mean([rmse(m.signal[m.present], m.decoded[m.present]) for m in measured])),
        "leads": leads,
    }
    limbs = [m for m in measured if m.present[list(EINTHOVEN)].all()]
    if limbs:
        for name in ("signal", "decoded"):
            residual = np.mean([einthoven_residual(getattr(m, name)) for m in limbs])
            figures[f"einthoven_mv_{name}"] = float(residual)
    return figures


def rate(tokenizer: ECGTokenizer, measured: Sequence[Measured]) -> dict:
    """Tokens and bits per second and per 10 s, and use of the codebook."""
    use = tokenizer.code_use([m.codes for m in measured])
    return {
        "tokens_per_second": tokenizer.token_rate,
        "bits_per_second": tokenizer.bits_per_second,
        "entropy_bits_per_second": tokenizer.token_rate * use["entropy_bits"],
        "tokens_per_10_s": tokenizer.tokens_in(10),
        "kbit_per_10_s": tokenizer.bits(np.empty(tokenizer.tokens_in(10))) / 1000,
        **use,
    }


def readings(measured: Sequence[Measured], fs: float, workers: int, seed: int) -> dict:
    """What a reader measures in reconstructions, and in originals with a hair of noise: the delineator's spread."""
    rng = np.random.default_rng(seed)
    triples = []
    for m in measured:  # leads that were not recorded are flat
        again = m.signal + rng.normal(0, rhythm.REPEAT_NOISE_MV, m.signal.shape) * m.present[:, None]
        triples.append(((m.signal, m.decoded * m.present[:, None], again), rhythm.upright_lead(m.signal), fs))
    if workers:
        with ProcessPoolExecutor(workers, multiprocessing.get_context("spawn")) as pool:
            rows = list(
                tqdm(pool.map(_read_triple, triples, chunksize=4), total=len(triples), desc="reading", unit="ecg")
            )
    else:
        rows = [_read_triple(triple) for triple in tqdm(triples, desc="reading", unit="ecg")]
    return rhythm.summarise(rows)


def _read_triple(triple: tuple[tuple[np.ndarray, ...], int, float]) -> tuple[dict, dict]:
    signals, wave_lead, fs = triple
    original, decoded, again = (rhythm.delineate(signal, wave_lead, fs) for signal in signals)
    return rhythm.compare(original, decoded), rhythm.compare(original, again)


def probe_data(
    tokenizer: ECGTokenizer, measured: Iterable[Measured], labels: dict[str, frozenset[str]], seed: int
) -> ProbeData | None:
    """Features and superclasses of the recordings that have one; None where none has."""
    of_signal = RandomConvolutions(len(LEADS), tokenizer.config.sampling_rate, seed)
    of_codes = RandomConvolutions(code_dims(tokenizer), tokenizer.frame_rate, seed)
    rows, classes, patients = [], [], []
    for m in measured:  # signals of a training set do not fit in memory, their features do
        if found := labels.get(m.ref.record_id):
            rows.append((of_signal(m.signal), of_codes(code_series(tokenizer, m.codes)), of_signal(m.decoded)))
            classes.append([name in found for name in SUPERCLASSES])
            patients.append(m.ref.patient_id or m.ref.record_id)
    if not rows:
        return None
    kinds = ("raw", "codes", "reconstruction")
    features = {kind: np.stack(column) for kind, column in zip(kinds, zip(*rows, strict=True), strict=True)}
    return ProbeData(features, np.array(classes, dtype=int), np.array(patients))


def panel(
    tokenizer: ECGTokenizer,
    test: list[RecordRef],
    train: list[RecordRef],
    root: Path,
    out: Path,
    workers: int = 2,
    seed: int = 0,
) -> dict:
    """Measure on ``test``, probe from ``train`` to ``test``; writes fidelity.json, .txt and .png to ``out``."""
    make_folder("--out", out)
    labels = load_superclasses(root) if train else {}
    measured = list(reconstruct(tokenizer, test, workers, "encoding"))
    if not measured:
        raise UserError(f"--data {root}: none of {len(test)} recordings could be read")
    fs = tokenizer.config.sampling_rate
    figures = {
        "tokenizer": {"quantizer": tokenizer.config.quantizer, "fingerprint": tokenizer.fingerprint()},
        "records": len(measured),
        "sampling_rate": fs,
        "distortion": distortion(measured),
        "rate": rate(tokenizer, measured),
        "readings": readings(measured, fs, workers, seed),
    }
    if train:
        stream = reconstruct(tokenizer, train, workers, "encoding for the probe")
        fitted, judged = (probe_data(tokenizer, side, labels, seed) for side in (stream, measured))
        if fitted and judged:
            figures["probe"] = probe(fitted, judged, list(SUPERCLASSES), seed)
        if not figures.get("probe"):
            print("no probe: too few recordings with and without a superclass")
    (out / "fidelity.json").write_text(json.dumps(figures, indent=2) + "\n")
    (out / "fidelity.txt").write_text(table(figures))
    draw_fidelity(measured, figures, fs).savefig(out / "fidelity.png")
    return figures


def main(argv: Sequence[str] | None = None) -> None:
    parser = Parser(prog="cardiolect fidelity", description=__doc__.splitlines()[0])
    parser.add_argument("--tokenizer", type=Path, required=True, help="folder of a trained tokenizer")
    parser.add_argument("--data", type=Path, required=True, help="folder of PTB-XL, or any folder of WFDB recordings")
    parser.add_argument("--folds", default="", help="folds of PTB-XL to measure on, e.g. 9-10; all where left out")
    parser.add_argument("--probe-folds", default="", help="folds to fit the linear probe on, e.g. 1-8; none: no probe")
    parser.add_argument("--max-records", type=int, default=0, help="measure so many recordings drawn at random; 0: all")
    parser.add_argument("--keep-seen", action="store_true", help="measure on patients of the tokenizer's training too")
    parser.add_argument("--out", type=Path, default=Path("results/fidelity"), help="folder for table, JSON and picture")
    parser.add_argument("--workers", type=int, default=2, help="processes that read and delineate; 0: this one")
    parser.add_argument("--seed", type=int, default=0, help="of every random choice")
    arguments = parser.parse_args(argv)
    for name in ("max_records", "workers", "seed"):
        if getattr(arguments, name) < 0:
            raise UserError(f"--{name.replace('_', '-')} {getattr(arguments, name)}: give 0 or more")
    tokenizer = ECGTokenizer.from_pretrained(arguments.tokenizer)
    test, train = choose(arguments)
    figures = panel(tokenizer, test, train, arguments.data, arguments.out, arguments.workers, arguments.seed)
    print(table(figures))
    print(f"fidelity.json, fidelity.txt and fidelity.png are in {arguments.out}")

"""The fidelity panel: what tokenizers keep of an ECG, as tables, JSON and pictures.

    cardiolect fidelity --tokenizer DIR --data PTBXL --folds 9-10 --probe-folds 1-8 --out DIR
    cardiolect fidelity --tokenizer DIR DIR DIR --data PTBXL --folds 9-10 --out DIR

Distortion in millivolts and rate; what a reader measures (R peaks, heart rate, QRS, PR, QT); what a linear probe reads
of PTB-XL's superclasses. Any tokenizer that decodes can be measured, several of them on the same recordings.

Every reconstruction is judged at 250 Hz against the recording at 250 Hz, whatever the rate of the tokenizer: what its
rate cannot hold counts as distortion, and what lies above 125 Hz is not judged.
"""

import json
import multiprocessing
from collections.abc import Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import numpy as np

from cardiolect.data_provider.ecgqa.scp_classes import load_classes
from cardiolect.data_provider.examples import RecordRef
from cardiolect.data_provider.record import LEADS
from cardiolect.ecg_tokenizer.base import ECGRepresentation
from cardiolect.ecg_tokenizer.codes.tokenizer import ECGTokenizer
from cardiolect.ecg_tokenizer.fidelity import rhythm
from cardiolect.ecg_tokenizer.fidelity.comparison import compare, comparison_table, names_of
from cardiolect.ecg_tokenizer.fidelity.distortion import EINTHOVEN, einthoven_residual, prdn, rmse, snr
from cardiolect.ecg_tokenizer.fidelity.picture import draw_fidelity
from cardiolect.ecg_tokenizer.fidelity.probe import ProbeData, RandomConvolutions, code_dims, code_series, probe
from cardiolect.ecg_tokenizer.fidelity.rate import rate
from cardiolect.ecg_tokenizer.fidelity.reconstruction import REFERENCE_RATE, Measured, reconstruct
from cardiolect.ecg_tokenizer.fidelity.selection import choose
from cardiolect.ecg_tokenizer.fidelity.table import table
from cardiolect.ecg_tokenizer.representations import load_representation
from cardiolect.utils.command_line import Parser
from cardiolect.utils.errors import UserError, make_folder
from cardiolect.utils.progress import progress
from cardiolect.utils.scp_codes import SUPERCLASSES


def distortion(measured: Sequence[Measured]) -> dict:
    """PRDN, SNR and RMSE with all leads together, the same per lead, and Einthoven's residual before and after.

    Means over recordings. worst_lead: the lead with the largest mean PRDN.
    """
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
        "worst_lead": max(leads, key=lambda lead: leads[lead]["prdn"]),
    }
    limbs = [m for m in measured if m.present[list(EINTHOVEN)].all()]
    if limbs:
        for name in ("signal", "decoded"):
            residual = np.mean([einthoven_residual(getattr(m, name)) for m in limbs])
            figures[f"einthoven_mv_{name}"] = float(residual)
    return figures


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
                progress(pool.map(_read_triple, triples, chunksize=4), total=len(triples), desc="reading", unit="ecg")
            )
    else:
        rows = [_read_triple(triple) for triple in progress(triples, desc="reading", unit="ecg")]
    return rhythm.summarise(rows)


def _read_triple(triple: tuple[tuple[np.ndarray, ...], int, float]) -> tuple[dict, dict]:
    signals, wave_lead, fs = triple
    original, decoded, again = (rhythm.delineate(signal, wave_lead, fs) for signal in signals)
    return rhythm.compare(original, decoded), rhythm.compare(original, again)


def probe_data(
    tokenizer: ECGRepresentation, measured: Iterable[Measured], labels: dict[str, frozenset[str]], seed: int
) -> ProbeData | None:
    """Features and superclasses of the recordings that have one; None if none has.

    Signals are at `REFERENCE_RATE`. Only an `ECGTokenizer` has features of its codes: they are a series with a fixed
    rate. Tokens of BPE stand for stretches of different lengths, and lead after lead in some tokenizers.
    """
    of_signal = RandomConvolutions(len(LEADS), REFERENCE_RATE, seed)
    of_codes = None
    if isinstance(tokenizer, ECGTokenizer):
        of_codes = RandomConvolutions(code_dims(tokenizer), tokenizer.frame_rate, seed)
    rows, classes, patients = [], [], []
    for m in measured:  # signals of a training set do not fit in memory, their features do
        if found := labels.get(m.ref.record_id):
            row = {"raw": of_signal(m.signal)}
            if of_codes:
                row["codes"] = of_codes(code_series(tokenizer, m.codes))
            rows.append(row | {"reconstruction": of_signal(m.decoded)})
            classes.append([name in found for name in SUPERCLASSES])
            patients.append(m.ref.patient_id or m.ref.record_id)
    if not rows:
        return None
    features = {kind: np.stack([row[kind] for row in rows]) for kind in rows[0]}
    return ProbeData(features, np.array(classes, dtype=int), np.array(patients))


def panel(
    tokenizer: ECGRepresentation,
    test: list[RecordRef],
    train: list[RecordRef],
    root: Path,
    out: Path,
    workers: int = 2,
    seed: int = 0,
    prompt_tokens: int = 512,
) -> dict:
    """Measure on ``test``, probe from ``train`` to ``test``; writes fidelity.json, .txt and .png to ``out``."""
    make_folder("--out", out)
    labels = load_classes(root) if train else {}
    measured = list(reconstruct(tokenizer, test, workers, "encoding", fs=REFERENCE_RATE))
    if not measured:
        raise UserError(f"--data {root}: none of {len(test)} recordings could be read")
    figures = {
        "tokenizer": {
            "representation": tokenizer.name,
            "quantizer": tokenizer.config.quantizer if isinstance(tokenizer, ECGTokenizer) else None,
            "fingerprint": tokenizer.fingerprint(),
        },
        "records": len(measured),
        "sampling_rate": tokenizer.sampling_rate,
        "reference_rate": REFERENCE_RATE,
        "distortion": distortion(measured),
        "rate": rate(tokenizer, measured, REFERENCE_RATE, prompt_tokens),
        "readings": readings(measured, REFERENCE_RATE, workers, seed),
    }
    if measured[0].ranged is not None:
        ranged = [m.with_range() for m in measured]
        figures["range_given"] = {
            "distortion": distortion(ranged),
            "readings": readings(ranged, REFERENCE_RATE, workers, seed),
        }
    if train:
        stream = reconstruct(tokenizer, train, workers, "encoding for the probe", fs=REFERENCE_RATE)
        fitted, judged = (probe_data(tokenizer, side, labels, seed) for side in (stream, measured))
        if fitted and judged:
            figures["probe"] = probe(fitted, judged, list(SUPERCLASSES), seed)
        if not figures.get("probe"):
            print("no probe: too few recordings with and without a superclass")
    (out / "fidelity.json").write_text(json.dumps(figures, indent=2) + "\n")
    (out / "fidelity.txt").write_text(table(figures))
    draw_fidelity(measured, figures, REFERENCE_RATE).savefig(out / "fidelity.png")
    return figures


def load(folder: Path) -> ECGRepresentation:
    """The tokenizer in ``folder``. Raises `UserError` if there is none, or it does not decode."""
    tokenizer = load_representation(folder)
    if not tokenizer.decodes:
        raise UserError(f"--tokenizer {folder}: {tokenizer.name} cannot be turned back into a signal to be measured")
    return tokenizer


def main(argv: Sequence[str] | None = None) -> None:
    parser = Parser(prog="cardiolect fidelity", description=__doc__.splitlines()[0])
    parser.add_argument(
        "--tokenizer", type=Path, nargs="+", required=True, help="folder of a trained tokenizer; several are compared"
    )
    parser.add_argument("--data", type=Path, required=True, help="folder of PTB-XL, or any folder of WFDB recordings")
    parser.add_argument("--folds", default="", help="folds of PTB-XL to measure on, e.g. 9-10 (default: all)")
    parser.add_argument(
        "--probe-folds", default="", help="folds to fit the linear probe on, e.g. 1-8 (default: no probe)"
    )
    parser.add_argument("--max-records", type=int, default=0, help="measure so many recordings drawn at random; 0: all")
    parser.add_argument("--keep-seen", action="store_true", help="measure on patients of the tokenizers' training too")
    parser.add_argument(
        "--prompt-tokens", type=int, default=512, help="say how much of an ECG so many of its tokens show"
    )
    parser.add_argument(
        "--out",
        type=Path,
        default=Path("results/fidelity"),
        help="folder for table, JSON and picture; one in it for each of several tokenizers",
    )
    parser.add_argument("--workers", type=int, default=2, help="processes that read and delineate; 0: this one")
    parser.add_argument("--seed", type=int, default=0, help="of every random choice")
    arguments = parser.parse_args(argv)
    for name, least in {"max_records": 0, "workers": 0, "seed": 0, "prompt_tokens": 1}.items():
        if getattr(arguments, name) < least:
            raise UserError(f"--{name.replace('_', '-')} {getattr(arguments, name)}: give {least} or more")
    names = names_of(arguments.tokenizer)
    tokenizers = [load(folder) for folder in arguments.tokenizer]
    test, train = choose(arguments)
    out, several = arguments.out, len(names) > 1
    found = {}
    for name, tokenizer in zip(names, tokenizers, strict=True):
        folder = out / name if several else out
        if several:
            print(f"{len(found) + 1} of {len(names)}: {name}")
        found[name] = panel(
            tokenizer, test, train, arguments.data, folder, arguments.workers, arguments.seed, arguments.prompt_tokens
        )
    if not several:
        print(table(found[names[0]]))
        print(f"fidelity.json, fidelity.txt and fidelity.png are in {out}")
        return
    comparison = compare(found)
    (out / "comparison.json").write_text(json.dumps(comparison, indent=2) + "\n")
    (out / "comparison.txt").write_text(comparison_table(comparison))
    print(comparison_table(comparison))
    print(f"comparison.json and comparison.txt are in {out}, and each tokenizer's panel in a folder in it")

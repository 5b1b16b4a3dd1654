"""Judge representations without a language model: what a linear probe and nearest neighbours read of PTB-XL's classes.

cardiolect probe FOLDER ... --data PTBXL --train-folds 1-8 --folds 9-10 [--labels superclass] [--shares 1,0.1,0.01]

Next to them stands the raw signal. Features that learn nothing are the same for all: random convolutions of signals and
codes (after ROCKET), counts of symbols; of an encoder, the mean and the maximum of its rows. Probes are fitted on the
training folds only, their penalty by cross-validation over patients.
"""

import json
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
import torch

from cardiolect.data_provider.corpora.ptbxl_database import parse_folds
from cardiolect.data_provider.ecgqa.scp_classes import load_classes
from cardiolect.data_provider.examples import RecordRef
from cardiolect.data_provider.record import LEADS, resample, without_offsets
from cardiolect.data_provider.storage.stream import stream_signals
from cardiolect.ecg_tokenizer.base import ECGRepresentation
from cardiolect.ecg_tokenizer.codes.tokenizer import ECGTokenizer
from cardiolect.ecg_tokenizer.encoders.representation import ECGEncoder
from cardiolect.ecg_tokenizer.fidelity.comparison import names_of
from cardiolect.ecg_tokenizer.fidelity.probe import (
    ProbeData,
    RandomConvolutions,
    code_dims,
    code_series,
    nearest_scores,
    probe,
)
from cardiolect.ecg_tokenizer.fidelity.selection import choose
from cardiolect.ecg_tokenizer.representations import load_representation
from cardiolect.utils.command_line import Parser, integer, run_command
from cardiolect.utils.errors import UserError, make_folder
from cardiolect.utils.scp_codes import LABEL_TASKS

RAW, RAW_RATE = "raw", 250
PROBES = {"linear": None, "nearest": nearest_scores}
Features = Callable[[np.ndarray, float], np.ndarray]  # mV (12, T) and its rate -> one vector


def features_of(representation: ECGRepresentation, seed: int) -> Features:
    """The features of a representation that a probe reads. Raises `UserError` if it has none of its own."""
    if isinstance(representation, ECGTokenizer):
        convolve = RandomConvolutions(code_dims(representation), representation.frame_rate, seed)
        return lambda signal, fs: convolve(code_series(representation, representation.prepare([signal], fs)[0]))
    if isinstance(representation, ECGEncoder):
        return lambda signal, fs: _pooled(representation, representation.prepare([signal], fs)[0])
    if representation.embeds or representation.vocabulary_size < 2:
        raise UserError(f"{representation.name} are samples of the raw signal, which is probed in any case")
    size = representation.vocabulary_size
    return lambda signal, fs: np.log1p(
        np.bincount(representation.token_ids(representation.prepare([signal], fs)[0]), minlength=size)
    ).astype(np.float32)


@torch.inference_mode()
def _pooled(encoder: ECGEncoder, item: np.ndarray) -> np.ndarray:
    rows = encoder.embed([torch.from_numpy(item).float().to(encoder.device)])
    return torch.cat([rows.mean(0), rows.amax(0)]).cpu().numpy()


def collect(
    refs: Sequence[RecordRef],
    labels: Mapping[str, frozenset[str]],
    classes: Sequence[str],
    features: Mapping[str, Features],
    workers: int,
    what: str,
) -> tuple[ProbeData, dict[str, float]]:
    """Features of all recordings that have a label, and the seconds that each kind took."""
    refs = [ref for ref in refs if labels.get(ref.record_id)]
    rows, seconds = [], dict.fromkeys(features, 0.0)
    used: list[RecordRef] = []
    for ref, signal, _, _ in stream_signals(refs, 500, workers, what):
        row = {}
        for kind, compute in features.items():
            begin = time.perf_counter()
            row[kind] = compute(signal, 500)
            seconds[kind] += time.perf_counter() - begin
        rows.append(row)
        used.append(ref)
    if not rows:
        raise UserError(f"{what}: no recording has a label; check --labels and the folds")
    truth = np.array([[name in labels[ref.record_id] for name in classes] for ref in used], dtype=int)
    patients = np.array([ref.patient_id or ref.record_id for ref in used])
    return ProbeData({kind: np.stack([row[kind] for row in rows]) for kind in features}, truth, patients), seconds


def shared(data: ProbeData, share: float, seed: int) -> ProbeData:
    """A share of the patients, drawn by the seed: those of a smaller share are among those of a larger one."""
    patients = np.unique(data.patients)
    kept = np.random.default_rng(seed).permutation(patients)[: max(1, round(share * len(patients)))]
    rows = np.isin(data.patients, kept)
    features = {kind: values[rows] for kind, values in data.features.items()}
    return ProbeData(features, data.labels[rows], data.patients[rows])


def table(found: Mapping[str, dict], seconds: Mapping[str, float], dims: Mapping[str, int]) -> str:
    """The AUROCs, a line for each representation."""
    columns = list(found)
    lines = [f"{'':20}" + "".join(f"{column:>26}" for column in columns) + f"{'dims':>8}{'ms/ECG':>8}"]
    for kind in dims:
        cells = "".join(f"{_cell(found[column], kind):>26}" for column in columns)
        lines.append(f"{kind:20}{cells}{dims[kind]:8}{1000 * seconds[kind]:8.1f}")
    return "\n".join(lines) + "\n"


def _cell(result: Mapping, kind: str) -> str:
    if kind not in result:
        return "no class to judge"
    low, high = result[kind]["ci95"]
    return f"{100 * result[kind]['auroc']:.1f} [{100 * low:.1f}, {100 * high:.1f}]"


def main(argv: Sequence[str] | None = None) -> None:
    parser = Parser(prog="cardiolect probe", description=__doc__.splitlines()[0])
    parser.add_argument("tokenizer", type=Path, nargs="+", metavar="FOLDER", help="representations, of stage 1")
    parser.add_argument("--data", type=Path, required=True, help="folder of PTB-XL, or of a corpus in its layout")
    parser.add_argument("--train-folds", dest="probe_folds", required=True, help="folds to fit on, e.g. 1-8")
    parser.add_argument("--folds", required=True, help="folds to judge on, e.g. 9-10")
    parser.add_argument("--labels", choices=tuple(LABEL_TASKS), default="superclass", help="task of PTB-XL's benchmark")
    parser.add_argument("--shares", default="1", help="of the training patients, e.g. 1,0.1,0.01")
    parser.add_argument("--max-records", type=integer(0), default=0, help="judge so many, drawn at random; 0: all")
    parser.add_argument("--keep-seen", action="store_true", help="judge on patients of a representation's training too")
    parser.add_argument("--out", type=Path, default=Path("results/probe"), help="folder for probe.txt and probe.json")
    parser.add_argument("--workers", type=integer(0), default=2, help="processes that read; 0: this one")
    parser.add_argument("--seed", type=integer(0), default=0, help="of every random choice")
    arguments = parser.parse_args(argv)
    shares = _shares(arguments.shares)
    parse_folds(arguments.folds, "--folds")
    loaded = dict(zip(names_of(arguments.tokenizer), map(load_representation, arguments.tokenizer), strict=True))
    raw = RandomConvolutions(len(LEADS), RAW_RATE, arguments.seed)
    features: dict[str, Features] = {RAW: lambda signal, fs: raw(without_offsets(resample(signal, fs, RAW_RATE)))}
    features |= {name: features_of(each, arguments.seed) for name, each in loaded.items()}
    labels, classes = (
        load_classes(arguments.data, arguments.labels),
        sorted(set(LABEL_TASKS[arguments.labels].values())),
    )
    test, train = choose(arguments)
    make_folder("--out", arguments.out)
    fitted, _ = collect(train, labels, classes, features, arguments.workers, "training")
    judged, seconds = collect(test, labels, classes, features, arguments.workers, "test")
    found = {
        f"{kind} {share:.0%}": probe(
            shared(fitted, share, arguments.seed), judged, classes, arguments.seed, scores=scores
        )
        for kind, scores in PROBES.items()
        for share in shares
    }
    each = {kind: value / len(judged.labels) for kind, value in seconds.items()}
    text = table(found, each, {kind: values.shape[1] for kind, values in judged.features.items()})
    heading = (
        f"{arguments.labels} of {arguments.data}: mean AUROC [95 % interval over patients] on {len(judged.labels)} "
        f"recordings of {len(np.unique(judged.patients))} patients, fitted on {len(fitted.labels)}\n"
    )
    (arguments.out / "probe.txt").write_text(heading + text)
    (arguments.out / "probe.json").write_text(json.dumps({"heading": heading.strip(), "found": found}, indent=2) + "\n")
    print(heading + text + f"probe.txt and probe.json are in {arguments.out}")


def _shares(text: str) -> list[float]:
    try:
        shares = [float(part) for part in text.split(",")]
    except ValueError:
        shares = []
    if not shares or not all(0 < share <= 1 for share in shares):
        raise UserError(f"--shares {text}: give numbers above 0 and up to 1, such as 1,0.1")
    return shares


if __name__ == "__main__":
    run_command(main)

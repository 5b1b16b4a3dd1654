"""``cardiolect show``: an ECG on paper."""

import sys
from pathlib import Path

import numpy as np

from data_provider.examples import Example, RecordRef
from data_provider.record import LEADS, ECGRecord
from data_provider.resample import resample
from ecg_tokenizer import ECGTokenizer
from model.chat import ECGChat
from model.serving.checkpoints import background_of, load_chat, load_ecg_tokenizer
from model.showcase import shades
from utils.errors import UserError, make_folder
from utils.plots import draw_ecg_paper


def show(
    record: str, start: float, checkpoint: Path, out: Path, reconstruction: bool, question: str | None, patient: str,
    device: str,
) -> None:  # fmt: skip
    """Write a picture of an ECG; prints the answer where there is a question."""
    ecg, background = ECGChat.read(record, start), background_of(patient)
    title, shading, overlay = f"Recording {ecg.record_id}", None, None
    if question:
        chat = load_chat(checkpoint, device)
        codes = chat.encode(ecg)
        said = chat.ask(codes, question, patient=background)
        ref = RecordRef(ecg.record_id, Path(record), background=background)
        example = Example("", (ref,), "qa", question, (), background=background)
        shading = shades(chat.checkpoint, example, said, [codes])[0]
        title = f"{title}: {question} {said}"
        print(said)
    if reconstruction:
        tokenizer = chat.checkpoint.ecg_tokenizer if question else load_ecg_tokenizer(checkpoint)
        overlay = _kept(ecg, tokenizer)
    there = ecg.lead_present[:, None]
    figure = draw_ecg_paper(
        np.where(there, ecg.signal, np.nan), ecg.fs, LEADS, _shortened(title),
        None if overlay is None else np.where(there, overlay, np.nan), shading=shading,
    )  # fmt: skip
    make_folder("--out:", out.parent)
    try:
        figure.savefig(out)
    except ValueError as error:
        raise UserError(f"--out {out}: {str(error).splitlines()[0]}") from None
    except OSError as error:
        raise UserError(f"--out {out}: cannot be written ({error.strerror})") from None
    print(f"picture: {out}", file=sys.stderr)


def _kept(ecg: ECGRecord, tokenizer: ECGTokenizer) -> np.ndarray:
    """What the codes keep of an ECG, at its own rate: mV ``(12, T)``."""
    decoded = tokenizer.decode(tokenizer.encode(ecg.signal, ecg.fs))
    decoded = resample(decoded, tokenizer.config.sampling_rate, ecg.fs)
    kept = np.full(ecg.signal.shape, np.nan, np.float32)
    length = min(kept.shape[1], decoded.shape[1])
    kept[:, :length] = decoded[:, :length]
    return kept


def _shortened(title: str, most: int = 110) -> str:
    return title if len(title) <= most else title[: most - 3] + "..."

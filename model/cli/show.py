"""``cardiolect show``: an ECG as a picture, with what a checkpoint makes of it."""

import sys
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from cardiolect.data_provider.record import LEADS, ECGRecord, resample
from cardiolect.model.cli.ask import (
    NO_PATIENT,
    ONLY_SIMULATED,
    check_question,
    is_yes_or_no,
    lacks_patient,
    lacks_real_patients,
)
from cardiolect.model.cli.loading import load_chat, load_checkpoint_representation, parse_patient, read_ecg
from cardiolect.model.cli.remarks import in_words, remarks, similar_lines
from cardiolect.model.cli.understanding import understood
from cardiolect.model.llm.builtin import introduce
from cardiolect.utils.errors import UserError, make_folder
from cardiolect.utils.plots import draw_ecg_paper

if TYPE_CHECKING:  # a plain picture needs no PyTorch
    from cardiolect.ecg_tokenizer.base import ECGRepresentation

_MAX_TITLE = 110  # characters


def show(
    record: str,
    start: float,
    checkpoint: Path,
    out: Path,
    reconstruction: bool,
    question: str | None,
    patient: str,
    device: str,
) -> None:
    """Plot an ECG. With a question, answer it as `ask` does and, if with yes or no, shade where that came from."""
    if question is not None:
        check_question(question)
    if out.is_dir():
        raise UserError(f"--out {out}: is a folder; name a file in it")
    out = out if out.suffix else Path(f"{out}.png")
    ecg, background = read_ecg(record, start, checkpoint), parse_patient(patient)
    title, shading, overlay = f"Recording {ecg.record_id}", None, None
    if question is not None:
        from cardiolect.model.evaluation.examples import shade_yes_or_no

        chat = load_chat(checkpoint, device)
        introduce(checkpoint)
        representation, prepared, info = chat.representation, chat.prepare(ecg), chat.checkpoint.info
        item = prepared.item
        for line in similar_lines(prepared, chat.knows(ecg)):
            print(line, file=sys.stderr)
        if lacks_patient(info, background):
            print(NO_PATIENT, file=sys.stderr)
        if lacks_real_patients(info, [record]):
            print(ONLY_SIMULATED, file=sys.stderr)
        if (asked := understood(info, question, [ecg])) is not None:
            if is_yes_or_no(info, asked):
                judged = chat.judge(prepared, asked, background)
                answer, line = judged.answer, in_words(judged)
            else:
                answer = line = chat.ask(prepared, asked, patient=background)
            title = f"{title}: {asked} {line}"
            if len(title) > _MAX_TITLE:
                title = title.partition(" (")[0]  # not what the probability rests on
            print(line)
            measures = bool(representation.parts(item))
            for remark in remarks(chat, info, [ecg], [prepared], asked, answer, background, measures):
                print(remark)
            try:
                shading = shade_yes_or_no(chat.checkpoint, prepared, asked.strip(), answer, background)
            except UserError as error:
                print(f"not shaded: {error}", file=sys.stderr)
    elif reconstruction:
        representation = load_checkpoint_representation(checkpoint)
        item = representation.prepare([ecg.signal], ecg.fs)[0]
    if reconstruction:
        overlay = reconstruct(representation, ecg, item)
    present = ecg.lead_present[:, None]
    figure = draw_ecg_paper(
        ecg.visible,
        ecg.fs,
        LEADS,
        title if len(title) <= _MAX_TITLE else title[: _MAX_TITLE - 3] + "...",
        None if overlay is None else np.where(present, overlay, np.nan),
        shading=shading,
    )
    make_folder("--out:", out.parent)
    try:
        figure.savefig(out)
    except ValueError as error:
        raise UserError(f"--out {out}: {str(error).splitlines()[0]}") from None
    except OSError as error:
        with suppress(OSError):
            out.unlink()
        raise UserError(f"--out {out}: cannot be written ({error.strerror})") from None
    print(f"picture: {out}", file=sys.stderr)


def reconstruct(representation: "ECGRepresentation", ecg: ECGRecord, item: np.ndarray) -> np.ndarray:
    """Decode the tokens of an ECG: mV ``(12, T)`` at the ECG's own sampling rate, NaN after the last token.

    Raises `UserError` if the representation cannot be decoded.
    """
    decoded = resample(representation.decode(item), representation.sampling_rate, ecg.fs)
    reconstruction = np.full(ecg.signal.shape, np.nan, np.float32)
    length = min(reconstruction.shape[1], decoded.shape[1])
    reconstruction[:, :length] = decoded[:, :length]
    return reconstruction

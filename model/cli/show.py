"""``cardiolect show``: an ECG on paper."""

import sys
from pathlib import Path

import numpy as np

from cardiolect.data_provider.record import LEADS
from cardiolect.model.cli.loading import background_of, load_chat, load_ecg_tokenizer, read_ecg
from cardiolect.model.cli.prompts import check_question
from cardiolect.model.cli.reconstruction import reconstruct
from cardiolect.model.evaluation.examples import shade_yes_or_no
from cardiolect.utils.errors import UserError, make_folder
from cardiolect.utils.plots import draw_ecg_paper


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
    """Write a picture of an ECG; prints the answer where there is a question, and shades where a yes or no is from."""
    if question is not None:
        check_question(question)
    if out.is_dir():
        raise UserError(f"--out {out}: is a folder; name a file in it")
    out = out if out.suffix else Path(f"{out}.png")
    ecg, background = read_ecg(record, start), background_of(patient)
    title, shading, overlay = f"Recording {ecg.record_id}", None, None
    if question is not None:
        chat = load_chat(checkpoint, device)
        tokenizer, codes = chat.representation, chat.encode(ecg)
        said = chat.ask(codes, question, patient=background)
        title = f"{title}: {question} {said}"
        print(said)
        try:
            shading = shade_yes_or_no(chat.checkpoint, codes, question.strip(), said, background)
        except UserError as error:
            print(f"not shaded: {error}", file=sys.stderr)
    elif reconstruction:
        tokenizer = load_ecg_tokenizer(checkpoint)
        codes = tokenizer.encode(ecg.signal, ecg.fs)
    if reconstruction:
        overlay = reconstruct(tokenizer, ecg, codes)
    there = ecg.lead_present[:, None]
    figure = draw_ecg_paper(
        np.where(there, ecg.signal, np.nan),
        ecg.fs,
        LEADS,
        _shortened(title),
        None if overlay is None else np.where(there, overlay, np.nan),
        shading=shading,
    )
    make_folder("--out:", out.parent)
    try:
        figure.savefig(out)
    except ValueError as error:
        raise UserError(f"--out {out}: {str(error).splitlines()[0]}") from None
    except OSError as error:
        raise UserError(f"--out {out}: cannot be written ({error.strerror})") from None
    print(f"picture: {out}", file=sys.stderr)


def _shortened(title: str, most: int = 110) -> str:
    return title if len(title) <= most else title[: most - 3] + "..."

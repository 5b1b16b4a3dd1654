"""A visitor of the demo: uploads, asks and reads what the page shows."""

import html
import os
import re
from pathlib import Path

import numpy as np
import pytest

from cardiolect.data_provider.record import LIMB_FROM_I_II
from cardiolect.data_provider.simulator.wfdb_write import write_wfdb

os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"
pytest.importorskip("gradio", reason="Gradio is not installed: pip install -e '.[demo]'")
gradio_client = pytest.importorskip("gradio_client")

QUESTION = "Does this ECG show atrial fibrillation?"
ATTACK = '<img src=x onerror="alert(1)">'


def new_client(demo, folder: Path):
    return gradio_client.Client(demo.url, verbose=False, download_files=folder, analytics_enabled=False)


def upload(client, *paths: Path, start: float = 0, rate: str = "", unit: str = "") -> dict:
    names = ("about", "paper", "kept", "strip", "tokens", "traced", "caption", "talk", "status", "exported")
    files = [gradio_client.handle_file(str(path)) for path in paths]
    return dict(zip(names, client.predict(files, start, rate, unit, api_name="/upload"), strict=True))


def ask(client, question: str = QUESTION, most: int = 12, age: str = "", sex: str = "", temperature: float = 0) -> list:
    """The last message of the conversation after every step."""
    job = client.submit(question, age, sex, most, temperature, api_name="/ask")
    job.result(timeout=120)
    return [texts_of(output[0])[-1] for output in job.outputs()]


def texts_of(talk: list[dict]) -> list[str]:
    parts = [message["content"] for message in talk]
    texts = [part if isinstance(part, str) else "".join(piece["text"] for piece in part) for part in parts]
    return [html.unescape(text) for text in texts]


def visible(about: str) -> str:
    return html.unescape(re.sub("<br>|</?p[^>]*>", " ", about)).strip()


def write_record(folder: Path, name: str = "ecg", signal: np.ndarray | None = None) -> tuple[Path, Path]:
    """A WFDB record of random walks, or of ``signal`` with the limb leads that follow from its leads I and II."""
    if signal is None:
        signal = np.cumsum(np.random.default_rng(0).normal(0, 0.01, (12, 5000)), 1)
    write_wfdb(folder / name, np.concatenate([LIMB_FROM_I_II @ signal[:2], signal[6:]]))
    return folder / f"{name}.hea", folder / f"{name}.dat"

"""Serve a checkpoint on this machine only: `transformers serve`, wrapped by `openai_protocol`."""

import json
import os
import sys
from pathlib import Path
from typing import NoReturn

from transformers.utils.import_utils import is_serve_available

from cardiolect.model.llm.builtin import builtin_checkpoint, introduce, is_builtin
from cardiolect.utils.errors import UserError
from cardiolect.utils.servers import LOOPBACK, check_free

CHAT_TEMPLATE = "chat_template.jinja"


def serve(checkpoint: Path | str, host: str = "127.0.0.1", port: int = 8000, device: str = "auto") -> NoReturn:
    """Replace this process with the server at ``http://host:port/v1/chat/completions``, until interrupted.

    host: a loopback address, since the server has no authentication. device: auto, cpu or cuda.
    Raises `UserError` if the checkpoint cannot be served.
    """
    folder = Path(checkpoint)
    if is_builtin(folder):
        builtin_checkpoint()
    servable_settings(folder)
    if "@" in str(folder):
        raise UserError(f"{folder}: the server reads what follows @ as a revision; rename the folder")
    if not is_serve_available():
        raise UserError('the server is not installed: pip install -e ".[serve]"')
    if host not in LOOPBACK:
        raise UserError(f"host {host}: the server has no authentication and stays on this machine; use 127.0.0.1")
    check_free(host, port)
    _check_files(folder)
    if device == "cuda":
        import torch  # slow, and other devices need no check

        if not torch.cuda.is_available():
            raise UserError("device cuda: PyTorch finds no CUDA device; use auto or cpu")
    command = [
        sys.executable,
        "-m",
        "cardiolect.model.serving.openai_protocol",
        str(folder),
        "--host",
        host,
        "--port",
        str(port),
        "--device",
        device,
    ]
    introduce(folder)
    url_host = f"[{host}]" if ":" in host else host
    address = f"http://{url_host}:{port}/v1/chat/completions"
    print(f"{folder.resolve().name}: {address}; press Ctrl-C to stop", flush=True)
    os.environ["HF_HUB_OFFLINE"] = "1"  # a request must not start the download of another model
    os.execv(sys.executable, command)


def servable_settings(folder: Path) -> dict:
    """The generation settings of a checkpoint that stock servers can load.

    Raises `UserError` if they cannot, with the command that makes a folder they can load.
    """
    if not folder.is_dir():
        raise UserError(f"{folder}: no such folder; train a checkpoint with bash quickstart.sh, or name another")
    if not (folder / "cardiolect.json").is_file():
        raise UserError(f"{folder}: not a checkpoint (cardiolect.json is missing)")
    if embeds_ecgs(folder):
        raise UserError(
            f"{folder}: embeds ECGs, which stock servers cannot do; use cardiolect ask, cardiolect demo or ECGChat"
        )
    path = folder / "generation_config.json"
    try:
        settings = dict(json.loads(path.read_text())) if path.is_file() else {}
    except (ValueError, TypeError, OSError):
        raise UserError(f"{path}: damaged; cardiolect merge {folder} --out FOLDER rewrites it") from None
    if not settings.get("suppress_tokens") or not (folder / CHAT_TEMPLATE).is_file():
        raise UserError(
            f"{folder}: holds adapters, or lacks its chat template or suppress_tokens; "
            f"cardiolect merge {folder} --out FOLDER makes a folder that can be served"
        )
    return settings


def _check_files(folder: Path) -> None:
    """Raise `UserError` unless the files that the server loads are there and whole."""
    from jinja2.sandbox import ImmutableSandboxedEnvironment
    from safetensors import safe_open
    from tokenizers import Tokenizer

    weights = sorted(folder.glob("*.safetensors"))
    if not weights:
        raise UserError(f"{folder}: has no weights (*.safetensors); copy the whole folder again")
    template = ImmutableSandboxedEnvironment(extensions=["jinja2.ext.loopcontrols"])
    checks = {
        "config.json": lambda path: json.loads(path.read_text()),
        "tokenizer.json": lambda path: Tokenizer.from_file(str(path)),
        CHAT_TEMPLATE: lambda path: template.parse(path.read_text()),
        **{path.name: lambda path: safe_open(path, "pt").__enter__() for path in weights},
    }
    for name, check in checks.items():
        try:
            check(folder / name)
        except Exception:  # of four libraries, one of which raises no other kind
            raise UserError(f"{folder / name}: missing or damaged; copy the whole folder again") from None


def embeds_ecgs(folder: Path) -> bool:
    """Whether a checkpoint puts rows of the ECG itself in the place of tokens (REPRESENTATION=patches)."""
    try:
        return "projector" in json.loads((folder / "cardiolect.json").read_text())
    except (ValueError, TypeError, OSError):
        return False


def is_servable(folder: Path) -> bool:
    """Whether stock servers can load a checkpoint as it is."""
    try:
        servable_settings(folder)
    except UserError:
        return False
    return True

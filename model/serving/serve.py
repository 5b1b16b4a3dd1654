"""The stock `transformers serve` with a checkpoint, on this machine alone."""

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

from transformers.utils.import_utils import is_serve_available

from model.checkpoint import read_info
from utils.errors import UserError
from utils.servers import LOOPBACK


def serve(checkpoint: Path | str, host: str = "127.0.0.1", port: int = 8000, device: str = "auto") -> None:
    """Answer at ``http://host:port/v1/chat/completions`` until interrupted.

    host: of this machine's loopback; the server knows no keys. device: auto, cpu, cuda or cuda:N.
    Raises `UserError` where the checkpoint cannot be served.
    """
    folder = Path(checkpoint)
    check_servable(folder)
    if not is_serve_available():
        raise UserError('the server is not installed; pip install "cardiolect[serve]" does')
    if host not in LOOPBACK:
        raise UserError(f"host {host}: the server knows no keys and stays on this machine; 127.0.0.1 is possible")
    _check_free(host, port)
    command = [sys.executable, "-m", "transformers.cli.transformers", "serve", str(folder),
               "--host", host, "--port", str(port), "--device", device]  # fmt: skip
    shown = f"[{host}]" if ":" in host else host
    print(f"{folder}: http://{shown}:{port}/v1/chat/completions; Ctrl-C ends it", flush=True)
    environment = {**os.environ, "HF_HUB_OFFLINE": "1"}  # no request has a model downloaded
    with subprocess.Popen(command, env=environment) as server:
        try:
            status = server.wait()
        except KeyboardInterrupt:  # the server was interrupted by the same key
            return
        finally:
            server.terminate()
    if status:
        raise UserError(f"{folder}: the server ended with status {status}; it says above why")


def check_servable(folder: Path) -> None:
    """Raise `UserError` where a stock server cannot hold this folder, with what would help."""
    read_info(folder)
    settings = folder / "generation_config.json"
    generation = json.loads(settings.read_text()) if settings.is_file() else {}
    if not generation.get("suppress_tokens") or not (folder / "chat_template.jinja").is_file():
        raise UserError(
            f"{folder}: holds adapters, or no chat template; "
            f"python -m model.serving.export {folder} OUT makes a folder that can be served"
        )
    if "@" in str(folder):
        raise UserError(f"{folder}: the server reads @ as the beginning of a revision; move the folder")


def _check_free(host: str, port: int) -> None:
    try:
        with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind((host, port))
    except (OSError, OverflowError):
        raise UserError(f"port {port} of {host} is not free; choose another") from None

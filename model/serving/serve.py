"""The stock `transformers serve` with a checkpoint, on this machine alone."""

import os
import sys
from pathlib import Path
from typing import NoReturn

from transformers.utils.import_utils import is_serve_available

from cardiolect.model.cli.loading import need_checkpoint
from cardiolect.model.serving.stock import stock_settings
from cardiolect.utils.errors import UserError
from cardiolect.utils.servers import LOOPBACK, check_free


def serve(checkpoint: Path | str, host: str = "127.0.0.1", port: int = 8000, device: str = "auto") -> NoReturn:
    """Become the server that answers at ``http://host:port/v1/chat/completions``, until interrupted.

    host: of this machine's loopback; the server knows no keys. device: auto, cpu or cuda.
    Raises `UserError` where the checkpoint cannot be served.
    """
    folder = Path(checkpoint)
    need_checkpoint(folder)
    stock_settings(folder)
    if "@" in str(folder):
        raise UserError(f"{folder}: the server reads @ as the beginning of a revision; move the folder")
    if not is_serve_available():
        raise UserError('the server is not installed: pip install -e ".[serve]"')
    if host not in LOOPBACK:
        raise UserError(f"host {host}: the server knows no keys and stays on this machine; 127.0.0.1 is possible")
    check_free(host, port)
    command = [
        sys.executable,
        "-m",
        "transformers.cli.transformers",
        "serve",
        str(folder),
        "--host",
        host,
        "--port",
        str(port),
        "--device",
        device,
    ]
    shown = f"[{host}]" if ":" in host else host
    print(f"{folder}: http://{shown}:{port}/v1/chat/completions; Ctrl-C ends it", flush=True)
    os.environ["HF_HUB_OFFLINE"] = "1"  # no request has a model downloaded
    os.execv(sys.executable, command)

"""Serve the page: load the checkpoint once, keep files in a private folder, listen on this machine only by default."""

import atexit
import ipaddress
import os
import shutil
import signal
import socket
import sys
import tempfile
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from cardiolect.model.cli.loading import require_checkpoint
from cardiolect.model.demo.feedback import open_folder
from cardiolect.model.demo.temporary_files import Sweeper, UploadLimit
from cardiolect.model.llm.builtin import introduce, introduction
from cardiolect.model.llm.checkpoint_folder import fingerprint
from cardiolect.utils.errors import UserError
from cardiolect.utils.servers import check_free

if TYPE_CHECKING:  # imported when a checkpoint is loaded: a mistake is answered at once
    import gradio as gr

    from cardiolect.model.inference.chat import ECGChat

PORT = 7860
UPLOAD_MB = 50
ANSWER_SECONDS = 120.0
MAX_SESSIONS = 500  # the least recently used are dropped
_FORM_BYTES = 100_000  # of an upload request besides its files
_MAX_STORED_UPLOADS = 40  # of the largest size; further ones are refused until files are deleted after 15 minutes


@dataclass
class RunningDemo:
    """A page that is being served, and its folder of temporary files."""

    page: "gr.Blocks"
    url: str
    folder: Path
    sweeper: Sweeper

    def close(self) -> None:
        """Stop, and delete all uploaded and generated files."""
        self.page.close(verbose=False)
        self.sweeper.close()
        shutil.rmtree(self.folder, ignore_errors=True)


def launch(checkpoint: Path | str, **options) -> None:
    """Call `start` with these options, and serve until Ctrl-C."""
    for number in (signal.SIGTERM, signal.SIGHUP):  # files are deleted on these signals, too
        signal.signal(number, lambda *_: sys.exit(0))
    demo = start(checkpoint, **options)
    try:
        demo.page.block_thread()
    finally:
        demo.close()


def start(
    checkpoint: Path | str,
    host: str = "127.0.0.1",
    port: int = PORT,
    share: bool = False,
    device: str = "auto",
    precision: str = "fp32",
    quantize: int | None = None,
    feedback: Path | str | None = None,
    max_upload_mb: int = UPLOAD_MB,
    answer_seconds: float = ANSWER_SECONDS,
) -> RunningDemo:
    """Serve the page.

    checkpoint: folder of a checkpoint. host: any address but loopback opens the page to the network. share: open it to
    the internet through Gradio's servers. Both print a warning. port: 0 picks a free one. device, precision: as for
    `ECGChat.from_pretrained`. quantize: load the language model in 8 or 4 bits, with CUDA and bitsandbytes. feedback:
    folder for ratings of answers; None disables them. Raises `UserError` if an option cannot be satisfied.
    """
    if find_spec("gradio") is None:
        raise UserError('the demo needs Gradio: pip install -e ".[demo]"')
    require_checkpoint(Path(checkpoint))
    check_free(host, port)
    if feedback is not None:
        open_folder(Path(feedback))
    introduce(Path(checkpoint))
    chat = _load(Path(checkpoint), device, precision, quantize)
    folder = Path(tempfile.mkdtemp(prefix="cardiolect-demo-"))  # readable by its owner only
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    # Gradio reads these on import and when it creates widgets.
    os.environ.update(GRADIO_ANALYTICS_ENABLED="False", GRADIO_TEMP_DIR=str(folder), HF_HUB_DISABLE_TELEMETRY="1")
    from gradio import processing_utils
    from starlette.middleware import Middleware

    from cardiolect.model.demo.app import STYLE, build_page, theme
    from cardiolect.model.demo.callbacks import Callbacks, Limits
    from cardiolect.model.demo.samples import sample_ecgs

    for line in _warnings(host, share):
        print(f"warning: {line}", file=sys.stderr)
    limits = Limits(max_upload_mb * 2**20, answer_seconds)
    callbacks = Callbacks(
        chat,
        introduction(Path(checkpoint)),
        fingerprint(Path(checkpoint)),
        sample_ecgs(),
        limits,
        folder,
        None if feedback is None else Path(feedback),
    )
    # Gradio would fetch any address that a client sends in place of an uploaded file.
    processing_utils.async_ssrf_protected_download = _refuse_address
    upload_limit = Middleware(
        UploadLimit,
        max_bytes=limits.upload + _FORM_BYTES,
        folder=folder,
        max_stored=_MAX_STORED_UPLOADS * limits.upload,
    )
    page = build_page(callbacks)
    sweeper = Sweeper(folder)
    try:
        _, url, shared = page.launch(
            server_name=host,
            server_port=port or _free_port(host),
            share=share,
            prevent_thread_lock=True,
            quiet=True,
            inbrowser=False,
            show_error=False,
            footer_links=[],
            run_history=False,
            enable_monitoring=False,
            ssr_mode=False,
            max_file_size=limits.upload,
            app_kwargs={"middleware": [upload_limit]},
            state_session_capacity=MAX_SESSIONS,
            theme=theme(),
            css_paths=[STYLE],
        )
    except OSError as error:  # the port was taken in the meantime
        sweeper.close()
        shutil.rmtree(folder, ignore_errors=True)
        raise UserError(f"port {port} of {host}: {error.strerror or 'not free'}; choose another port") from None
    print(f"demo: {url}" + (f" and {shared}" if shared else ""), flush=True)
    return RunningDemo(page, url, folder, sweeper)


def _load(checkpoint: Path, device: str, precision: str, quantize: int | None) -> "ECGChat":
    from transformers.utils.logging import disable_progress_bar

    from cardiolect.model.inference.chat import ECGChat
    from cardiolect.model.llm.checkpoint import load_checkpoint
    from cardiolect.model.llm.quantization import placement

    disable_progress_bar()
    if quantize is None:
        return ECGChat.from_pretrained(checkpoint, device, precision)
    return ECGChat(load_checkpoint(checkpoint, precision, **placement(quantize, device)))


async def _refuse_address(*_, **__) -> NoReturn:
    import gradio as gr

    raise gr.Error("only uploaded files are read", print_exception=False, title="Not read")


def _warnings(host: str, share: bool) -> list[str]:
    lines = []
    if host != "localhost" and not _is_loopback(host):
        lines.append(f"--host {host} opens the page to everyone who can reach this machine, without a password")
    if share:
        lines.append(
            "--share opens the page to everyone who has its address and sends uploads through Gradio's servers"
        )
    return lines


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _free_port(host: str) -> int:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family) as probe:
        probe.bind((host, 0))
        return probe.getsockname()[1]

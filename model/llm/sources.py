"""What LLM_PATH may name: a folder, a GGUF file, or a model on the Hugging Face hub.

huggingface_hub is imported only when a hub is asked: settings are read before `quieten_libraries`.
"""

import os
import re
import shutil
from collections.abc import Callable
from functools import partial
from pathlib import Path

from tqdm import tqdm

from cardiolect.utils import launch
from cardiolect.utils.errors import UserError

_HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*")
_FILES = ("*.json", "*.safetensors", "*.jinja", "tokenizer.model", "merges.txt", "LICENSE*", "USE_POLICY*")


def check_source(source: str) -> None:
    """Raise `UserError` unless ``source`` is a folder, a GGUF file or a model on a hub that answers."""
    path = Path(source)
    if path.is_file() and path.suffix != ".gguf":
        raise UserError(f"LLM_PATH: {source} is a file, but not a .gguf file; it names a folder or a GGUF file")
    if path.exists():
        return
    if not _is_hub_id(source):
        raise UserError(
            f"LLM_PATH: {source} does not exist; it names a folder with a causal language model, a GGUF file, "
            "OWNER/NAME on the Hugging Face hub, or the word tiny"
        )
    if not _is_cached(source):
        from huggingface_hub import HfApi

        _ask_hub(source, lambda: HfApi().model_info(source, timeout=10))


def language_model_folder(source: Path | str) -> Path:
    """The folder that transformers loads; made from a GGUF file (next to it) or fetched from the hub if needed.

    All ranks have to call it for these two. Raises `UserError` in one line.
    """
    path = Path(source)
    if path.suffix == ".gguf" and path.is_file():
        return _once(lambda: _converted(path), path.parent)
    if not path.exists() and _is_hub_id(str(source)):
        from huggingface_hub import snapshot_download
        from huggingface_hub.constants import HF_HUB_CACHE

        bar = {} if _is_cached(str(source)) else {"tqdm_class": tqdm}
        fetch = partial(snapshot_download, source, allow_patterns=list(_FILES), **bar)
        return _once(lambda: Path(_ask_hub(source, fetch)), Path(HF_HUB_CACHE))
    return path


def _is_hub_id(source: str) -> bool:
    """Whether a path that does not exist may be a name on the hub; ``llm/NAME`` is not if there is a folder ``llm``."""
    return bool(_HUB_ID.fullmatch(source)) and not Path(source).parent.is_dir()


def _is_cached(name: str) -> bool:
    """Whether a model on the hub has been fetched before."""
    from huggingface_hub import try_to_load_from_cache

    return isinstance(try_to_load_from_cache(name, "config.json"), str)


def _once(make: Callable[[], Path], folder: Path) -> Path:
    """``make`` on the first of the ranks that have the same ``folder``, in which it writes; then the others find it."""
    if launch.rank() == launch.sharing_ranks(folder)[0]:
        make()
    launch.barrier()
    return make()


def _converted(file: Path) -> Path:
    from cardiolect.model.llm.gguf_files import is_converted

    folder = file.with_suffix("")
    if not is_converted(folder, file):
        print(f"{file}: converting to the folder {folder}, once", flush=True)
        convert_into(file, folder)
    return folder


def convert_into(file: Path, folder: Path) -> None:
    """Convert a GGUF file to a new folder, which appears only when it is complete.

    Raises `UserError` if the folder exists or cannot be made.
    """
    from cardiolect.model.llm.gguf_files import convert_gguf  # loads transformers, too early for `check_source`

    if folder.exists():
        raise UserError(f"{folder}: exists and was not made from this {file.name}; move it away")
    part = folder.with_name(f".{folder.name}.{os.getpid()}")
    try:
        part.mkdir(parents=True)
        convert_gguf(file, part)
        part.rename(folder)
    except OSError as error:
        raise UserError(f"{folder}: cannot be written: {error.strerror}; cardiolect fetch FILE --out FOLDER") from None
    finally:
        shutil.rmtree(part, ignore_errors=True)


def _ask_hub(name: str, ask: Callable):
    """``ask()``; without a network or the right to read, one line that says how to get the model."""
    from huggingface_hub.errors import GatedRepoError, HTTPError, RepositoryNotFoundError

    get = f"`hf download {name} --local-dir llm/{name.split('/')[1]}`"
    try:
        return ask()
    except GatedRepoError:
        raise UserError(f"LLM_PATH: {name} needs its licence accepted on its page, and `hf auth login`") from None
    except RepositoryNotFoundError:
        raise UserError(
            f"LLM_PATH: {name} is neither a folder here nor a model on the hub (or `hf auth login` is missing)"
        ) from None
    except (OSError, HTTPError, ValueError) as error:
        reason = " ".join(str(error).split())[:80] or type(error).__name__
        raise UserError(
            f"LLM_PATH: {name} is not a folder here, and the hub cannot be reached ({reason}); run {get} on a machine "
            "with a network, copy the folder and set LLM_PATH to it"
        ) from None

"""Cardiolect teaches language models to read 12-lead electrocardiograms. Not for clinical diagnosis.

    from cardiolect import ECGChat, ECGTokenizer, read_record

The packages are the top-level folders of the source tree (``model/`` is `cardiolect.model`); a wheel holds them here.
"""

import logging
from importlib import import_module
from pathlib import Path

_ROOT = Path(__file__).resolve().parent.parent
if (_ROOT / "pyproject.toml").is_file():  # the source tree
    __path__.append(str(_ROOT))

# PEFT imports it if it is installed. On every start it misses a CPU kernel from a hub, which nobody asked for, and in
# training on a CPU it has a line for every product.
logging.getLogger("bitsandbytes").setLevel(logging.ERROR)

_EXPORTS = {
    "ECGChat": "cardiolect.model.inference.chat",
    "ECGTokenizer": "cardiolect.ecg_tokenizer.codes.tokenizer",
    "read_record": "cardiolect.data_provider.readers",
}
__all__ = list(_EXPORTS)


def __getattr__(name: str):
    """Imported when asked for: a command that reads a file does not wait for PyTorch."""
    if name not in _EXPORTS:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_EXPORTS[name]), name)

"""The trained checkpoint that the package contains, and a simulated recording to ask it about."""

import sys
from importlib.util import find_spec
from pathlib import Path

from cardiolect.data_provider.corpora.simulated_folder import CITATION, only_simulated
from cardiolect.model.llm.checkpoint_folder import INFO, fingerprint, read_info
from cardiolect.utils.errors import UserError

BUILTIN = Path(find_spec("cardiolect").origin).parent / "builtin"
EXAMPLE = "example"  # as a RECORD, the simulated recording in BUILTIN
DISCLAIMER = "Not for clinical diagnosis."


def is_builtin(checkpoint: Path) -> bool:
    """Whether a folder is that of the built-in checkpoint, be there one or not."""
    return checkpoint == BUILTIN


def builtin_checkpoint() -> Path:
    """The folder of the built-in checkpoint. Raises `UserError` if this installation has none."""
    if not (BUILTIN / INFO).is_file():
        raise UserError(
            f"{BUILTIN}: this installation has no built-in checkpoint; name one with --checkpoint, or train one with "
            "bash quickstart.sh"
        )
    return BUILTIN


def introduce(checkpoint: Path) -> None:
    """Say on stderr which model answers, if it is the built-in one; whoever names another knows it."""
    if is_builtin(checkpoint):
        print(introduction(checkpoint), file=sys.stderr)


def introduction(checkpoint: Path) -> str:
    """One line about the checkpoint: version, fingerprint, what it was trained on, disclaimer."""
    info = read_info(checkpoint)
    version = (info.get("code") or ["unknown version"])[-1].partition(",")[0]
    names = [
        "simulated recordings" if corpus["citation"].startswith(CITATION) else corpus["name"].removesuffix("-copies")
        for corpus in info.get("corpora", ())
    ]
    trained_on = ", ".join(dict.fromkeys(names)) or "unknown recordings"
    only = " only" if only_simulated(info.get("corpora", ())) else ""
    name = "Built-in model" if is_builtin(checkpoint) else f"Checkpoint {checkpoint.resolve().name}"
    return f"{name} {version} ({fingerprint(checkpoint)}), trained on {trained_on}{only}. {DISCLAIMER}"


def example_path(record: str) -> str:
    """The file of the example if ``record`` is `EXAMPLE` and no file here has that name; else ``record`` itself."""
    if record != EXAMPLE or any(Path().glob(f"{EXAMPLE}.*")) or Path(EXAMPLE).exists():
        return record
    return str(BUILTIN / EXAMPLE)


def is_example(record: str) -> bool:
    """Whether a recording is the simulated one of the package."""
    return Path(example_path(record)).resolve().with_suffix("") == (BUILTIN / EXAMPLE).resolve()

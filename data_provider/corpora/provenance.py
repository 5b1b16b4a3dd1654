"""The corpora that a model was trained on, and their licences, for model cards."""

import json
from collections.abc import Sequence
from pathlib import Path, PureWindowsPath

from cardiolect.data_provider.audit.seen import RECORDED_IN
from cardiolect.data_provider.corpora.databases import MADE, is_manifest
from cardiolect.data_provider.corpora.simulated_folder import CITATION, LICENCE
from cardiolect.data_provider.manifest import load_corpus

UNKNOWN = "unknown"


def corpora_of(roots: Sequence[Path], stage: str) -> list[dict[str, str]]:
    """Stage, name, version, licence and citation of each DATA_ROOT; "unknown" if it does not contain them."""
    return [{"stage": stage, **_corpus(Path(root))} for root in roots]


def corpora_of_tokenizer(folder: Path) -> list[dict[str, str]]:
    """The same for a trained ECG tokenizer, what its training started from included.

    For one in a checkpoint, all corpora of the checkpoint. Empty if nothing was trained, or if settings are missing.
    """
    path, owner = folder / "settings.json", folder.resolve().parent / RECORDED_IN[0]
    if not path.is_file():
        return json.loads(owner.read_text()).get("corpora", []) if owner.is_file() else []
    settings = json.loads(path.read_text())
    before = corpora_of_tokenizer(Path(settings["encoder_init"])) if settings.get("encoder_init") else []
    learned = settings.get("objective") != "none" and settings.get("representation") != "patches"
    return [*before, *(corpora_of(settings["data_root"], "tokenizer") if learned else [])]


def _corpus(root: Path) -> dict[str, str]:
    if is_manifest(root):
        known = load_corpus(root)
        return {key: getattr(known, key) or "" for key in ("name", "version", "licence", "citation")}
    if (root / MADE).is_file():
        made = json.loads((root / MADE).read_text())
        name = f"{root.resolve().name} (seed {made.get('seed', UNKNOWN)})"  # their folders are mostly called corpus
        return {"name": name, "version": "", "licence": LICENCE, "citation": f"{CITATION} by Cardiolect"}
    name = PureWindowsPath(root.resolve()).name  # accepts both separators: a checkpoint may come from Windows
    return {"name": name, "version": "", "licence": UNKNOWN, "citation": UNKNOWN}

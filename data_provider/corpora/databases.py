"""Databases, whatever a manifest is called: ids of patients and records are unique within one."""

import hashlib
from pathlib import Path

MADE = "corpus.json"  # the settings of the simulator, in the folder of a simulated corpus
PTBXL = "ptb-xl"

# Databases whose manifests did not name them yet, by what they cite.
_CITED = {
    "10.1038/s41597-020-0495-6": PTBXL,
    "10.13026/4nqg-sb35": "mimic-iv-ecg",
    "10.5281/zenodo.4916206": "code-15",
}


def database_in(source: Path, name: str = PTBXL) -> str:
    """The database in the folder of a corpus; ``name`` unless it is simulated. Each simulated corpus is one."""
    made = source / MADE
    return f"simulated-{hashlib.sha256(made.read_bytes()).hexdigest()[:12]}" if made.is_file() else name


def likely_database(name: str, citation: str = "", source: Path | None = None) -> str:
    """The database of a manifest called ``name`` that does not say it: by what it cites, else by its name.

    "ptb-xl-more" is a part of "ptb-xl".
    """
    if source is not None and (source / MADE).is_file():
        return database_in(source)
    for cited, database in _CITED.items():
        if cited in citation:
            return database
    return next((known for known in _CITED.values() if name == known or name.startswith(f"{known}-")), name)

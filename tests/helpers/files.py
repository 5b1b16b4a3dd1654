"""Files compared."""

import hashlib
from pathlib import Path


def digests(folder: Path) -> dict[str, str]:
    """The SHA-256 of every file in a folder by its relative path."""
    return {
        str(p.relative_to(folder)): hashlib.sha256(p.read_bytes()).hexdigest() for p in folder.rglob("*") if p.is_file()
    }

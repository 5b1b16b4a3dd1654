"""What stock servers read of a checkpoint folder."""

import json
from pathlib import Path

from cardiolect.utils.errors import UserError

CHAT_TEMPLATE = "chat_template.jinja"


def stock_settings(folder: Path) -> dict:
    """The generation settings of a checkpoint that a stock server can hold.

    Raises `UserError` where the folder is none, with what would make one of it.
    """
    if not (folder / "cardiolect.json").is_file():
        raise UserError(f"{folder}: not a checkpoint (cardiolect.json is missing)")
    path = folder / "generation_config.json"
    try:
        settings = dict(json.loads(path.read_text())) if path.is_file() else {}
    except (ValueError, TypeError, OSError):
        raise UserError(f"{path}: damaged; cardiolect merge {folder} --out FOLDER writes it anew") from None
    if not settings.get("suppress_tokens") or not (folder / CHAT_TEMPLATE).is_file():
        raise UserError(
            f"{folder}: holds adapters, or lacks its chat template or suppress_tokens; "
            f"cardiolect merge {folder} --out FOLDER makes a folder that can be served"
        )
    return settings


def is_stock(folder: Path) -> bool:
    """Whether a stock server can hold a checkpoint as it is."""
    try:
        stock_settings(folder)
    except UserError:
        return False
    return True

"""What stock servers read of a checkpoint folder."""

import json
from pathlib import Path

from utils.errors import UserError


def stock_settings(folder: Path) -> dict:
    """The generation settings of a checkpoint that a stock server can hold.

    Raises `UserError` where the folder is none, with what would make one of it.
    """
    if not (folder / "cardiolect.json").is_file():
        raise UserError(f"{folder}: not a checkpoint (cardiolect.json is missing)")
    path = folder / "generation_config.json"
    settings = json.loads(path.read_text()) if path.is_file() else {}
    if not settings.get("suppress_tokens") or not (folder / "chat_template.jinja").is_file():
        raise UserError(
            f"{folder}: holds adapters, or no chat template; "
            f"cardiolect merge {folder} --out FOLDER makes a folder that can be served"
        )
    return settings

"""python -m model.serving.export CHECKPOINT OUT: a checkpoint as stock servers take it, adapters merged."""

import argparse
import shutil
from pathlib import Path

from model.checkpoint import load_checkpoint, read_info, save_checkpoint
from utils.errors import UserError, exit_on_user_error


def export(checkpoint: Path | str, out: Path | str) -> None:
    """Write ``checkpoint`` to the new folder ``out``: a stock model with chat template and generation settings.

    Raises `UserError` where ``out`` holds something, and where no template is exact for the checkpoint's tokenizer.
    """
    source, folder = Path(checkpoint), Path(out)
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise UserError(f"{folder}: is not empty")
    loaded = load_checkpoint(source, read_info(source).get("settings", {}).get("precision", "fp32"))
    save_checkpoint(loaded, folder, merge=True)
    for path in source.glob("*.json"):  # what was seen in training, curves
        if not (folder / path.name).exists() and not path.name.startswith("adapter_"):
            shutil.copy(path, folder)
    if loaded.vocabulary.tokenizer.chat_template is None:
        raise UserError(
            f"{folder}: its tokenizer joins what training kept apart, so that no chat template is exact; "
            "a server would have to be sent token ids"
        )


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m model.serving.export", description=__doc__.partition(": ")[2])
    parser.add_argument("checkpoint", type=Path, help="folder with model or adapters")
    parser.add_argument("out", type=Path, help="folder to write, new or empty")
    given = parser.parse_args(arguments)
    export(given.checkpoint, given.out)
    print(f"wrote {given.out}")


if __name__ == "__main__":
    exit_on_user_error(main)

"""``cardiolect merge`` and ``export``: checkpoints as others take them."""

import json
import shutil
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path, PureWindowsPath
from typing import Any

from peft import PeftModel
from transformers.utils.logging import disable_progress_bar

from cardiolect.data_provider.audit.seen import SEEN
from cardiolect.data_provider.corpora.provenance import UNKNOWN, corpora_of
from cardiolect.model.evaluation.card import model_card, write_card
from cardiolect.model.evaluation.result import read_result
from cardiolect.model.llm.checkpoint import INFO, fingerprint, load_checkpoint, read_info, save_checkpoint
from cardiolect.model.serving.stock import CHAT_TEMPLATE, is_stock
from cardiolect.utils.errors import UserError, make_folder
from cardiolect.utils.launch import quieten_libraries

_TOKENIZER_CONFIG = "tokenizer_config.json"
_NO_TEMPLATE = (
    "its tokenizer joins what training kept apart, so that no chat template is exact; a server would have to be sent "
    "token ids"
)


def merge(checkpoint: Path, out: Path) -> None:
    """Write a stock checkpoint: adapters folded into their language model, chat template, generation settings.

    Raises `UserError` where the checkpoint has all of it already, and where no template is exact for its tokenizer.
    """
    read_info(checkpoint)
    if is_stock(checkpoint):
        raise UserError(f"{checkpoint}: holds no adapters and has a chat template; it is a stock checkpoint already")
    _write_stock(checkpoint, out)
    print(f"a stock checkpoint is in {out}")
    if not (out / CHAT_TEMPLATE).is_file():
        raise UserError(f"{out}: {_NO_TEMPLATE}")


def export(checkpoint: Path, results: Sequence[Path], out: Path, name: str | None, license: str) -> None:
    """Write a folder that can be pushed as it is: stock model, card with its scores, nothing of this machine.

    Raises `UserError` where a result is of another checkpoint.
    """
    info = read_info(checkpoint)
    own = {fingerprint(checkpoint), info.get("merged_from")}
    measured = []
    for path in dict.fromkeys(results):
        result, _ = read_result(path)
        if result.get("checkpoint", {}).get("fingerprint") not in own:
            raise UserError(f"{path}: was measured on another checkpoint than {checkpoint}")
        measured.append(result)
    _write_stock(checkpoint, out)
    info = _scrubbed(read_info(out))
    (out / INFO).write_text(json.dumps(info, indent=2, sort_keys=True) + "\n")
    words = json.loads((out / _TOKENIZER_CONFIG).read_text())
    here = {"is_local", "local_files_only"}  # of where it was loaded from
    kept = {key: value for key, value in words.items() if key not in here}
    (out / _TOKENIZER_CONFIG).write_text(json.dumps(kept, indent=2) + "\n")
    (out / "README.md").write_text(model_card(info, True, measured, name or out.resolve().name, license))
    (out / "LICENSE").write_text(_licence_note(info, license))
    if unclear := [c["name"] for c in info["corpora"] if c["licence"] == UNKNOWN]:
        print(f"licence unknown: {', '.join(dict.fromkeys(unclear))}; say it in README.md and LICENSE", file=sys.stderr)
    if not (out / CHAT_TEMPLATE).is_file():
        print(f"{out}: {_NO_TEMPLATE}", file=sys.stderr)
    print(f"ready to be pushed: {out}")


def _write_stock(checkpoint: Path, out: Path) -> None:
    """A checkpoint merged, with what was seen in training."""
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise UserError(f"--out {out}: is there and not empty; name a new folder")
    info = read_info(checkpoint)
    quieten_libraries()
    disable_progress_bar()
    loaded = load_checkpoint(checkpoint, info.get("settings", {}).get("precision", "fp32"))
    if isinstance(loaded.model, PeftModel):
        loaded.info["merged_from"] = fingerprint(checkpoint)
    loaded.model.config.use_cache = True  # training turns it off; generation would compute every prefix anew
    make_folder("--out", out)
    save_checkpoint(loaded, out, merge=True)
    write_card(out)
    for weights in out.rglob("*.safetensors"):  # written for their owner alone
        weights.chmod((out / INFO).stat().st_mode)
    if (checkpoint / SEEN).is_file():
        shutil.copy(checkpoint / SEEN, out)


def _scrubbed(info: Mapping[str, Any]) -> dict[str, Any]:
    """cardiolect.json with names in the place of paths, and what is known of the corpora."""
    settings = info.get("settings", {})
    corpora = info.get("corpora") or corpora_of(settings.get("data_root", ()), info.get("stage", ""))
    return {**info, "corpora": corpora, "settings": {key: _name(value) for key, value in settings.items()}}


def _name(value: Any) -> Any:
    if isinstance(value, list):
        return [_name(each) for each in value]
    # Of Windows both separators are known: the checkpoint may have been trained there.
    return PureWindowsPath(value).name if isinstance(value, str) and ("/" in value or "\\" in value) else value


def _licence_note(info: Mapping[str, Any], licence: str) -> str:
    lines = [
        f"Licence of the weights: {licence}.",
        "What they were trained on may ask for more:",
        *dict.fromkeys(
            f"- {c['name']} {c['version']}".rstrip() + f": {c['licence']}; {c['citation']}" for c in info["corpora"]
        ),
        f"- language model to begin with: {info.get('base_model', UNKNOWN)}",
        "The code that runs them, Cardiolect, is under the MIT licence.",
    ]
    return "\n".join(lines) + "\n"

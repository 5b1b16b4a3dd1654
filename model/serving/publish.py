"""``cardiolect merge`` and ``cardiolect export``: checkpoints for other software and for model hubs."""

import json
import shutil
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path, PureWindowsPath
from typing import Any

from peft import PeftModel
from transformers.utils.logging import disable_progress_bar

from cardiolect.data_provider.audit.seen import SEEN, read_seen
from cardiolect.data_provider.corpora.provenance import UNKNOWN, corpora_of
from cardiolect.ecg_tokenizer.retrieval.settings import FOLDER as RETRIEVAL
from cardiolect.model.evaluation.card import model_card, write_card
from cardiolect.model.evaluation.result import read_result
from cardiolect.model.inference.calibration import copy_calibration
from cardiolect.model.llm.checkpoint import load_checkpoint
from cardiolect.model.llm.checkpoint_folder import INFO, bits_of, fingerprint, read_info
from cardiolect.model.llm.ecg_language_model import inner_model
from cardiolect.model.llm.saving import save_checkpoint
from cardiolect.model.serving.serve import CHAT_TEMPLATE, embeds_ecgs, is_servable
from cardiolect.utils.errors import UserError, make_folder
from cardiolect.utils.launch import quieten_libraries

CC_BY = "https://creativecommons.org/licenses/by/4.0/"
_TOKENIZER_CONFIG = "tokenizer_config.json"
_NOT_STOCK = "it embeds ECGs, so stock servers can load its language model but not show it an ECG"
_NO_TEMPLATE = (
    "no chat template is exact for its tokenizer, which merges text across the pieces of a prompt; send token ids to a "
    "server instead of messages"
)


def merge(checkpoint: Path, out: Path) -> None:
    """Write a stock checkpoint: adapters merged into their language model, chat template, generation settings.

    Raises `UserError` if the checkpoint has all of this already, or if no template is exact for its tokenizer.
    """
    read_info(checkpoint)
    if embeds_ecgs(checkpoint) and not (checkpoint / "adapter_config.json").is_file():
        raise UserError(f"{checkpoint}: holds no adapters; it already is as merged as a model that embeds ECGs can be")
    if is_servable(checkpoint):
        raise UserError(f"{checkpoint}: holds no adapters and has a chat template; it already is a stock checkpoint")
    _write_stock(checkpoint, out)
    copy_calibration(checkpoint, out)
    if embeds_ecgs(out):
        print(f"merged checkpoint: {out}; {_NOT_STOCK}")
        return
    print(f"stock checkpoint: {out}")
    if not (out / CHAT_TEMPLATE).is_file():
        raise UserError(f"{out}: {_NO_TEMPLATE}")


def export(
    checkpoint: Path, results: Sequence[Path], out: Path, name: str | None, license: str, with_index: bool = False
) -> None:
    """Write a folder that can be pushed as it is: a stock model and a card with its scores, but no local paths.

    with_index: whether the index of similar recordings, which holds texts of training reports, may be published.
    Raises `UserError` if there is one and it may not, or if a result belongs to another checkpoint.
    """
    info = read_info(checkpoint)
    indexed = info.get("retrieval", {}).get("recordings")
    if indexed and not with_index:
        raise UserError(
            f"{checkpoint / RETRIEVAL}: holds texts of reports on {indexed} training recordings and tells which are of "
            "one patient; if that may be published, give --with-index"
        )
    fingerprints = {fingerprint(checkpoint), info.get("merged_from")}
    evaluations = []
    for path in dict.fromkeys(results):
        result, _ = read_result(path)
        if result.get("checkpoint", {}).get("fingerprint") not in fingerprints:
            raise UserError(f"{path}: measured on another checkpoint than {checkpoint}")
        evaluations.append(result)
    _write_stock(checkpoint, out)
    info = _without_paths(read_info(out))
    with _whole_or_nothing(out):
        (out / INFO).write_text(json.dumps(info, indent=2, sort_keys=True) + "\n")
        config = json.loads((out / _TOKENIZER_CONFIG).read_text())
        local = {"is_local", "local_files_only"}  # keys about where the tokenizer was loaded from
        config = {key: value for key, value in config.items() if key not in local}
        (out / _TOKENIZER_CONFIG).write_text(json.dumps(config, indent=2) + "\n")
        copy_calibration(checkpoint, out)  # last of what the fingerprint covers
        card = model_card(info, not embeds_ecgs(out), evaluations, name or out.resolve().name, license)
        (out / "README.md").write_text(card)
        (out / "LICENSE").write_text(_licence_note(info, license))
    if unknown := [c["name"] for c in info["corpora"] if c["licence"] == UNKNOWN]:
        corpora = ", ".join(dict.fromkeys(unknown))
        print(f"licence of {corpora} unknown; add it to README.md and LICENSE", file=sys.stderr)
    if indexed:
        print(f"{out}/{RETRIEVAL}: holds texts on {indexed} training recordings", file=sys.stderr)
    if embeds_ecgs(out):
        print(f"{out}: {_NOT_STOCK}", file=sys.stderr)
    elif not (out / CHAT_TEMPLATE).is_file():
        print(f"{out}: {_NO_TEMPLATE}", file=sys.stderr)
    print(f"ready to push: {out}")


def _write_stock(checkpoint: Path, out: Path) -> None:
    """Write a merged checkpoint, with the hashes of the recordings it was trained on."""
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise UserError(f"--out {out}: exists and is not empty; name a new folder")
    info = read_info(checkpoint)
    quieten_libraries()
    disable_progress_bar()
    loaded = load_checkpoint(checkpoint, info.get("settings", {}).get("precision", "fp32"), load_bits=0)
    if bits := bits_of(info):
        print(f"{checkpoint}: trained on weights of {bits} bits, merged into whole ones; answers may differ a little")
    if isinstance(inner_model(loaded.model), PeftModel):
        loaded.info["merged_from"] = fingerprint(checkpoint)
    make_folder("--out", out)
    with _whole_or_nothing(out):
        save_checkpoint(loaded, out, merge=True)
        write_card(out)
        if (checkpoint / SEEN).is_file():
            shutil.copy(checkpoint / SEEN, out)
    if unknown := read_seen(out).unknown:
        print(f"{checkpoint}: {unknown}; an evaluation of {out} will refuse it", file=sys.stderr)


@contextmanager
def _whole_or_nothing(out: Path) -> Iterator[None]:
    """Remove what is in a folder if it cannot be completed, as on a full disk: the same command can then run again."""
    try:
        yield
    except BaseException:
        shutil.rmtree(out, ignore_errors=True)
        raise


def _without_paths(info: Mapping[str, Any]) -> dict[str, Any]:
    """The content of cardiolect.json with names in place of paths, and the provenance of the corpora."""
    settings = info.get("settings", {})
    corpora = info.get("corpora") or corpora_of(settings.get("data_root", ()), info.get("stage", ""))
    return {**info, "corpora": corpora, "settings": {key: _base_name(value) for key, value in settings.items()}}


def _base_name(value: Any) -> Any:
    if isinstance(value, list):
        return [_base_name(each) for each in value]
    # Windows accepts both separators, and the checkpoint may have been trained there.
    return PureWindowsPath(value).name if isinstance(value, str) and ("/" in value or "\\" in value) else value


def _licence_note(info: Mapping[str, Any], licence: str) -> str:
    changed = any(corpus["licence"] == "CC BY 4.0" for corpus in info["corpora"])
    lines = [
        f"Licence of the weights: {licence}.",
        "The data they were trained on may impose further terms:",
        *dict.fromkeys(
            f"- {c['name']} {c['version']}".rstrip() + f": {c['licence']}; {c['citation']}" for c in info["corpora"]
        ),
        *([f"CC BY 4.0: {CC_BY}; the weights are made from changed copies of these data."] if changed else []),
        f"- initial language model: {info.get('base_model', UNKNOWN)}",
        "The code that runs them, Cardiolect, is under the MIT licence.",
    ]
    return "\n".join(lines) + "\n"

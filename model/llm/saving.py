"""Writes a checkpoint's folder. Loading is apart from it: PEFT, which merges adapters, takes a second to import."""

import json
from importlib.metadata import version
from pathlib import Path

from peft import PeftModel, get_peft_model_state_dict
from transformers import GenerationConfig, PreTrainedModel

from cardiolect.ecg_tokenizer.retrieval.settings import FOLDER as RETRIEVAL
from cardiolect.model.llm.checkpoint import MAX_NEW_TOKENS, Checkpoint
from cardiolect.model.llm.checkpoint_folder import BASE_CHAT_TEMPLATE, CALIBRATION, INFO
from cardiolect.model.llm.ecg_language_model import PROJECTOR, ECGLanguageModel, inner_model
from cardiolect.model.prompt.chat_template import set_chat_template
from cardiolect.model.prompt.vocabulary import Vocabulary
from cardiolect.utils.errors import UserError
from cardiolect.utils.weights import check_written


def save_checkpoint(checkpoint: Checkpoint, folder: Path, merge: bool) -> None:
    """Write the folder. merge: fold adapters into the model, in place, which makes it a stock model.

    Raises RuntimeError if weights were not written whole; the folder is then not a checkpoint.
    """
    folder.mkdir(parents=True, exist_ok=True)
    _remove_earlier(folder)
    model = inner_model(checkpoint.model)
    if merge and isinstance(model, PeftModel):
        if getattr(model.get_base_model(), "is_quantized", False):
            raise UserError(f"{folder}: adapters cannot be merged into quantised weights; load them with load_bits=0")
        model = model.merge_and_unload()
    if isinstance(model, PeftModel):
        # PEFT would add the tables, twice if tied, because they have grown; `load_checkpoint` makes them grow again.
        model.save_pretrained(folder, save_embedding_layers=False)
    else:
        for config in (model.config, model.config.get_text_config()):
            if getattr(config, "use_cache", True) is False:
                config.use_cache = True  # for stock servers; a trained model may come with the setting of its training
        model.generation_config = generation_config(checkpoint.vocabulary, model.get_input_embeddings().weight.shape[0])
        model.save_pretrained(folder)
    _check_model(model, folder)
    if isinstance(checkpoint.model, ECGLanguageModel):
        checkpoint.model.save_projector(folder)
    else:
        set_chat_template(checkpoint.vocabulary)
    if checkpoint.vocabulary.own_template:
        (folder / BASE_CHAT_TEMPLATE).write_text(checkpoint.vocabulary.own_template, encoding="utf-8")
    checkpoint.vocabulary.tokenizer.save_pretrained(folder)
    checkpoint.representation.save_pretrained(folder / "ecg_tokenizer")
    if checkpoint.index is not None:
        checkpoint.index.save_pretrained(folder / RETRIEVAL)
    packages = ("torch", "transformers", "peft", "deepspeed", "vector-quantize-pytorch")
    info = {
        **checkpoint.info,
        "representation": checkpoint.representation.name,
        "ecg_tokenizer_fingerprint": checkpoint.representation.fingerprint(),
        "load_bits": _bits(model),
        "versions": {name: version(name) for name in packages},
    }
    (folder / INFO).write_text(json.dumps(info, indent=2, sort_keys=True) + "\n")


def _bits(model: PreTrainedModel | PeftModel) -> int:
    stock = model.get_base_model() if isinstance(model, PeftModel) else model
    return 4 if getattr(stock, "is_loaded_in_4bit", False) else 8 if getattr(stock, "is_loaded_in_8bit", False) else 0


def _check_model(model: PreTrainedModel | PeftModel, folder: Path) -> None:
    if isinstance(model, PeftModel):
        state = get_peft_model_state_dict(model, save_embedding_layers=False)
        check_written(folder.glob("adapter_model*.safetensors"), {name: tuple(t.shape) for name, t in state.items()})
        return
    shapes = {name: tuple(tensor.shape) for name, tensor in model.state_dict().items()}
    names: dict[int, set[str]] = {}
    for name, parameter in model.named_parameters(remove_duplicate=False):
        if name in shapes:
            shapes[name] = tuple(getattr(parameter, "ds_shape", parameter.shape))  # if ZeRO-3 has split it
            names.setdefault(id(parameter), set()).add(name)
    check_written(folder.glob("model*.safetensors"), shapes, map(frozenset, names.values()))


def _remove_earlier(folder: Path) -> None:
    """Remove what a checkpoint of another kind has left in the folder; INFO, which makes it a checkpoint, first.

    Adapters next to a whole model would be taken for the model, and a projector for that of embedded ECGs. A
    calibration is of the earlier weights.
    """
    (folder / INFO).unlink(missing_ok=True)
    stale = (CALIBRATION, PROJECTOR, "chat_template.jinja", BASE_CHAT_TEMPLATE, "config.json", "generation_config.json")
    for path in [*folder.glob("adapter_*"), *folder.glob("model*.safetensors*"), *(folder / name for name in stale)]:
        path.unlink(missing_ok=True)
    for path in [*(folder / "ecg_tokenizer").glob("*"), *(folder / RETRIEVAL).glob("*")]:
        path.unlink()
    if (folder / RETRIEVAL).is_dir():
        (folder / RETRIEVAL).rmdir()


def generation_config(vocabulary: Vocabulary, rows: int | None = None) -> GenerationConfig:
    """Settings with which a stock ``generate`` or server answers like `model.inference.generation`.

    Answers are greedy and without ECG tokens and spare rows. rows: of embedding and head, if there are spare ones.
    """
    ids = range(rows or vocabulary.new_ids.stop)
    words, stops = vocabulary.tokenizer, list(vocabulary.stop_ids)
    return GenerationConfig(
        do_sample=False,
        max_new_tokens=MAX_NEW_TOKENS,
        suppress_tokens=sorted({i for columns in vocabulary.never_answered for i in ids[columns]}),
        bos_token_id=words.bos_token_id,
        eos_token_id=stops if len(stops) > 1 else stops[0],
        pad_token_id=words.pad_token_id,
    )

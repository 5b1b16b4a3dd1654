"""Stages 2 and 3 from settings to checkpoint: load, prepare ECGs, train, save."""

import json
import sys
from pathlib import Path

import numpy as np
from torch.utils.data import Dataset
from transformers import set_seed

from cardiolect.data_provider.audit.seen import Earlier, save_seen, seen_before, take_over_seen
from cardiolect.data_provider.corpora.provenance import corpora_of, corpora_of_tokenizer
from cardiolect.data_provider.corpora.ptbxl_database import parse_folds
from cardiolect.data_provider.splits import (
    Split,
    corpus_weights,
    find_database,
    held_out,
    left_out,
    load_splits,
    seen_in_data,
    warn_of_seen,
)
from cardiolect.data_provider.texts.questions import load_examples
from cardiolect.ecg_tokenizer.base import ECGRepresentation
from cardiolect.ecg_tokenizer.cached import CachedECGs, prepare_corpus
from cardiolect.ecg_tokenizer.representations import load_representation
from cardiolect.model.evaluation.card import write_card
from cardiolect.model.evaluation.floors import KEPT, majority_floors
from cardiolect.model.llm.checkpoint import (
    DTYPES,
    Checkpoint,
    check_ecg_rows,
    load_checkpoint,
    load_language_model,
    longest_sequence,
    new_checkpoint,
)
from cardiolect.model.llm.checkpoint_folder import (
    INFO,
    add_info,
    check_ecg_tokenizer,
    fingerprint,
    fingerprint_of_parts,
    read_info,
)
from cardiolect.model.llm.ecg_language_model import inner_model
from cardiolect.model.llm.plain_text import plain_text_figures, plain_text_in_words
from cardiolect.model.llm.quantization import quantized
from cardiolect.model.llm.saving import save_checkpoint
from cardiolect.model.llm.tiny import build_tiny_llama, train_bpe
from cardiolect.model.llm.token_rows import ROW_MULTIPLE
from cardiolect.model.prompt.rendering import answer_text, patient_text, prompt_text, visualise
from cardiolect.model.training.adaptation import (
    prepare_for_training,
    with_adapters_own,
    with_bits_of,
    with_layer_names,
)
from cardiolect.model.training.contents import contents_of_data, short_hash
from cardiolect.model.training.deepspeed_config import read_deepspeed_config, splits_weights
from cardiolect.model.training.lengths import check_lengths
from cardiolect.model.training.neighbours import add_neighbours, fingerprint_of_neighbours
from cardiolect.model.training.parts import parts_in_words, parts_of, trainable_parameters
from cardiolect.model.training.progress import in_words
from cardiolect.model.training.replay import ReplayText, WithText
from cardiolect.model.training.resume import choose_start, figures_of
from cardiolect.model.training.rows import FinetuneDataset, PretrainDataset
from cardiolect.model.training.settings import FinetuneSettings, LanguageModelSettings, PretrainSettings, TrainSettings
from cardiolect.model.training.trainer import train
from cardiolect.utils import launch
from cardiolect.utils.errors import UserError
from cardiolect.utils.resume import comparable, finish

# Information that a checkpoint passes on to checkpoints trained from it.
OF_MODEL = ("embedding_seed", "row_multiple", "projector", "times_marked", "retrieval")
INHERITED = (*OF_MODEL, *KEPT, "base_model", "corpora")
TINY = "tiny, random weights"  # as base_model


def pretrain(settings: PretrainSettings) -> dict:
    """Stage 2: pretrain a language model on ECG tokens. Returns the losses."""
    splits = load_splits(settings, ("train", "valid"), task=None)
    representation = load_representation(settings.tokenizer_path)
    if representation.embeds:
        raise UserError(
            f"TOKENIZER_PATH: {settings.tokenizer_path} holds {representation.name}, which are embedded and have no "
            "tokens to predict; start with finetune.sh and LLM_PATH"
        )
    if representation.name == "measured" and settings.pretrain_objective == "multiscale":
        raise UserError("PRETRAIN_OBJECTIVE=multiscale: measured values have no order in time; set causal")
    checkpoint = _new_checkpoint(settings, representation)
    seen = seen_before(_starts_from(checkpoint, settings), settings.accept_unknown_leakage)
    refs = [ref for split in splits.values() for ref in split.records]
    ecgs = prepare_corpus(representation, refs, settings, settings.record_seconds, every_window=True)
    train_rows, valid_rows = (
        PretrainDataset(
            checkpoint.vocabulary,
            splits[name].records,
            ecgs,
            settings.pretrain_objective,
            settings.seed,
            representation.group,
            longest_sequence(checkpoint.model),
            corpus_weights(settings) if name == "train" else None,
            random_windows=name == "train",
        )
        for name in ("train", "valid")
    )
    info = {"stage": "pretrain"} | check_lengths(train_rows, valid_rows, ecgs, splits, settings.record_seconds)
    return _train_and_save(checkpoint, train_rows, valid_rows, ecgs, splits, settings, info, seen)


def finetune(settings: FinetuneSettings) -> dict:
    """Stage 3: fine-tune on questions, reports or conversations. Returns the losses."""
    task = None if settings.tasktype == "all" else settings.tasktype
    splits = load_splits(settings, ("train", "valid"), task=task)
    if settings.checkpoint:
        if "tokenizer_path" in settings.model_fields_set and (settings.tokenizer_path / "config.json").is_file():
            check_ecg_tokenizer(
                settings.checkpoint, load_representation(settings.tokenizer_path), settings.tokenizer_path
            )
        settings = with_bits_of(settings, read_info(settings.checkpoint))
        checkpoint = load_checkpoint(
            settings.checkpoint,
            settings.precision,
            trainable=True,
            load_bits=settings.load_bits,
            device=settings.device,
        )
        settings = with_adapters_own(settings, checkpoint.model)
    else:
        checkpoint = _new_checkpoint(settings, load_representation(settings.tokenizer_path))
    if settings.tuning == "none" and not checkpoint.representation.embeds:
        raise UserError(
            f"TUNING=none: the ECGs are {checkpoint.representation.name}, which have no projector, so nothing would be "
            "trained; set lora or full"
        )
    if checkpoint.representation.embeds and settings.ecg_loss_weight:
        raise UserError("ECG_LOSS_WEIGHT: embedded ECGs have no tokens to predict; set it to 0")
    if checkpoint.representation.embeds and splits_weights(settings.deepspeed_config):
        raise UserError(
            f"DEEPSPEED_CONFIG: {settings.deepspeed_config} is ZeRO-3, which cannot train embedded ECGs: a rank whose "
            "batch has no ECG would not join in gathering the projector; use ds_config_zero2.json"
        )
    earlier = checkpoint.info.get("prompt", "plain")
    if checkpoint.info.get("stage") == "finetune" and earlier != settings.prompt and launch.is_main():
        print(f"PROMPT={settings.prompt}, but CHECKPOINT was fine-tuned with PROMPT={earlier}")
    checkpoint.use_prompt(settings.prompt, settings.neighbours_in_system)
    checkpoint.mark_times(True)
    from_ = {"checkpoint": settings.checkpoint} if settings.checkpoint else _starts_from(checkpoint, settings)
    seen = seen_before(from_, settings.accept_unknown_leakage)
    refs = [ref for split in splits.values() for ref in split.examples.used_refs()]
    ecgs = prepare_corpus(checkpoint.representation, refs, settings, settings.record_seconds, every_window=True)
    add_neighbours(checkpoint, splits, ecgs, settings)
    longest = longest_sequence(checkpoint.model)
    shared = dict(questions_per_ecg=settings.questions_per_ecg, seed=settings.seed, max_length=longest)
    train_rows = FinetuneDataset(
        checkpoint.vocabulary,
        splits["train"].examples,
        ecgs,
        ecg_loss_weight=settings.ecg_loss_weight,
        ecg_dropout=settings.ecg_dropout,
        patient_dropout=settings.patient_dropout,
        part_dropout=_part_dropout(settings, checkpoint.representation),
        neighbour_dropout=settings.neighbour_dropout if ecgs.neighbours else 0.0,
        corpus_weights=corpus_weights(settings),
        random_windows=True,
        **shared,
    )
    valid_rows = FinetuneDataset(checkpoint.vocabulary, splits["valid"].examples, ecgs, **shared)
    info = {"stage": "finetune"} | check_lengths(train_rows, valid_rows, ecgs, splits, settings.record_seconds)
    examples = train_rows.examples  # without those whose length leaves them out: floors must be of what is trained on
    with_patient = examples.count_with_background() / len(examples) * (1 - settings.patient_dropout)
    info |= {"train_examples": len(examples), "train_examples_with_patient": with_patient, "prompt": settings.prompt}
    if launch.is_main():  # which alone saves it
        info |= majority_floors(examples, settings.seed)
    return _train_and_save(checkpoint, train_rows, valid_rows, ecgs, splits, settings, info, seen)


def _part_dropout(settings: FinetuneSettings, representation: ECGRepresentation) -> float:
    if representation.name == "measured":
        return settings.part_dropout
    if "part_dropout" in settings.model_fields_set and launch.is_main():
        print(f"PART_DROPOUT is not used: the ECGs are {representation.name}, which have no parts")
    return 0.0


def _new_checkpoint(settings: LanguageModelSettings, representation: ECGRepresentation) -> Checkpoint:
    """A new checkpoint: a language model that has not been trained on ECGs yet."""
    if settings.llm_path == "tiny":
        tokenizer = train_bpe(_training_texts(settings), settings.tiny_vocabulary)
        model = build_tiny_llama(
            tokenizer,
            settings.tiny_layers,
            settings.tiny_hidden,
            settings.tiny_heads,
            settings.tiny_tied,
            settings.seed,
        )
    else:
        if settings.load_bits and representation.embeds:
            raise UserError(f"LOAD_BITS={settings.load_bits}: embedded ECGs need a language model of whole weights")
        bits, dtype = settings.load_bits, DTYPES[settings.precision]
        options = quantized(bits, dtype, settings.device) if bits else {}
        model, tokenizer = load_language_model(settings.llm_path, settings.precision, **options)
        check_ecg_rows(Path(model.name_or_path), tokenizer, representation, settings.tokenizer_path)
    tiny = settings.llm_path == "tiny"
    rows = dict(row_multiple=ROW_MULTIPLE, spread=1.0 if tiny else settings.token_row_spread)
    checkpoint = new_checkpoint(model, tokenizer, representation, settings.seed, settings.projector, **rows)
    checkpoint.info["base_model"] = TINY if tiny else Path(settings.llm_path).resolve().name
    checkpoint.info["corpora"] = corpora_of_tokenizer(settings.tokenizer_path)
    if (_folder_of(checkpoint) / INFO).is_file():  # these include the corpora of its ECG tokenizer
        earlier = read_info(_folder_of(checkpoint))
        checkpoint.info |= {key: earlier[key] for key in ("base_model", "corpora") if key in earlier}
    return checkpoint


def _folder_of(checkpoint: Checkpoint) -> Path:
    """Where the language model of a new checkpoint lies, also if LLM_PATH names it on a hub; "tiny" if it is random."""
    return Path(inner_model(checkpoint.model).name_or_path or "tiny")


def _starts_from(checkpoint: Checkpoint, settings: LanguageModelSettings) -> dict[str, Path]:
    """The folders whose training a new checkpoint continues: the language model's, too, if it has seen ECGs."""
    folders = {"ECG tokenizer": settings.tokenizer_path, "language model": _folder_of(checkpoint)}
    return {what: folder for what, folder in folders.items() if what == "ECG tokenizer" or (folder / INFO).is_file()}


def _training_texts(settings: LanguageModelSettings) -> set[str]:
    """Rendered prompts and answers of TINY_CORPUS, training folds only; without TINY_CORPUS, those of the manifests."""
    paths, folds = settings.tiny_corpus or settings.train_data, parse_folds(settings.train_folds)
    if paths:
        root = settings.data_root[0]
        examples = load_examples(paths, root, find_database(root), allow_missing=True).examples
        away = held_out(settings)
        examples = [e for e in examples if not any(ref in away for ref in e.records)]
    else:
        examples = load_splits(settings, ("train",), task=None)["train"].examples
    texts = {
        "".join([*map(patient_text, e.backgrounds), prompt_text(e.task, e.question, e.history)])
        + f" {answer_text(e.answers)}"
        for e in examples
        if not folds or all(ref.fold in folds for ref in e.records)
    }
    if not texts:
        raise UserError("TINY_CORPUS has no text about a training recording, and the BPE of the tiny model needs some")
    return texts


def _train_and_save(
    checkpoint: Checkpoint,
    train_rows: Dataset,
    valid_rows: Dataset,
    ecgs: CachedECGs,
    splits: dict[str, Split],
    settings: TrainSettings,
    info: dict,
    seen: Earlier,
) -> dict:
    settings = with_layer_names(settings, checkpoint.model)
    settings = settings.model_copy(update={"token_row_learning_rate": settings.row_rate})  # as it is recorded
    output = settings.output_dir
    trained_on, replayed = train_rows.records, {}
    if settings.replay_text:
        text = ReplayText(settings.replay_text, checkpoint.vocabulary, longest_sequence(checkpoint.model))
        train_rows = WithText(train_rows, text, settings.replay_share, settings.seed)
        info["replay"] = text.figures() | {"share": settings.replay_share}
        replayed["REPLAY_TEXT's content"] = text.fingerprint()
    lengths = short_hash(train_rows.lengths().astype(np.int32).tobytes())
    start = choose_start(
        settings,
        lambda: {
            "stage": info["stage"],
            "ECG tokenizer": checkpoint.representation.fingerprint(),
            "language model": _fingerprint_of_model(checkpoint, settings),
            **contents_of_data(splits, [*trained_on, *valid_rows.records], ecgs),
            "sequences": f"{len(train_rows)} and {len(valid_rows)} ({lengths})",
            "DEEPSPEED_CONFIG's content": short_hash(json.dumps(read_deepspeed_config(settings.deepspeed_config))),
            **fingerprint_of_neighbours(ecgs, [*trained_on, *valid_rows.records]),
            **replayed,
        },
    )
    if start.finished:
        return figures_of(output)
    if checkpoint.info.get("base_model") != TINY and launch.is_main():
        earlier = checkpoint.info.get("plain_text", {}).get("before")
        info["plain_text"] = {"before": earlier or plain_text_figures(checkpoint.model, checkpoint.vocabulary)}
    set_seed(settings.seed)
    checkpoint.model = prepare_for_training(checkpoint.model, checkpoint.vocabulary, settings)
    if launch.is_main():
        warn_of_seen(settings, seen.marks)
        # Also what was left out for its length or could not be read: a list that is too long errs on the safe side.
        recordings = [r for split in splits.values() for r in split.records]
        info |= left_out(splits) | {
            "seen": seen.record | save_seen(output, recordings, seen.marks | seen_in_data(settings))
        }
        trained, total = trainable_parameters(checkpoint.model)
        print(f"training {trained:,} of {total:,} parameters on {len(train_rows)} sequences; writing to {output}")
        parts = parts_of(checkpoint.model, checkpoint.representation)
        print(parts_in_words(parts))
        info["parts"] = {name: part._asdict() for name, part in parts.items()}
        rates = [f"{settings.learning_rate:g}"]
        if settings.tuning != "none":
            rates.append(f"{settings.row_rate:g} for the rows of ECG tokens")
        if settings.optimizer == "muon":
            rates[:1] = [f"{settings.muon_learning_rate:g} of Muon", f"{settings.learning_rate:g} of AdamW"]
        print(f"peak learning rate {', '.join(rates)}")
        first = train_rows[0]
        tail = slice(max(0, len(first) - 40), len(first))
        colours = sys.stdout.isatty()
        print(f"the end of the first sequence, supervised tokens {'in green' if colours else 'after a +'}:")
        print(visualise(checkpoint.vocabulary, first.ids[tail], [w > 0 for w in first.weights[tail]], colours))
    pad_id = checkpoint.vocabulary.tokenizer.pad_token_id
    figures = train(checkpoint.model, train_rows, valid_rows, pad_id, settings, start)
    if launch.is_main():
        inherited = {**{k: v for k, v in checkpoint.info.items() if k in INHERITED}, **info}
        checkpoint.info = {
            **inherited,
            "corpora": [*inherited.get("corpora", ()), *corpora_of(settings.data_root, info["stage"])],
            **{k: v for k, v in figures.items() if k != "loss_curve"},
            "train_records": len(trained_on),
            "data_fingerprint": start.contents["data"],
            "settings": comparable(settings),
            "begun_with": dict(start.contents),
            "code": list(start.code),
        }
        whole = not splits_weights(settings.deepspeed_config)  # with ZeRO-3, hooks stay that would divide the weights
        if "plain_text" in info and whole:
            info["plain_text"]["after"] = plain_text_figures(checkpoint.model, checkpoint.vocabulary)
        (output / "loss_curve.json").write_text(json.dumps(figures["loss_curve"]) + "\n")
        take_over_seen(output)
        save_checkpoint(checkpoint, output, merge=settings.checkpoint_format == "merged")
        if "plain_text" in info:
            if not whole:
                saved = load_checkpoint(output, settings.precision)
                info["plain_text"]["after"] = plain_text_figures(saved.model, saved.vocabulary)
                add_info(output, plain_text=info["plain_text"])
            print(f"plain text, before and after training on ECGs: {plain_text_in_words(info['plain_text'])}")
        write_card(output)
        print(
            f"best validation loss {figures['valid_loss']:.4f} at step {figures['best_step']} of {figures['steps']}; "
            f"{in_words(figures)}; checkpoint in {output}"
        )
        finish(output)
    launch.barrier()
    return figures


def _fingerprint_of_model(checkpoint: Checkpoint, settings: LanguageModelSettings) -> str:
    """Hash of the language model that training starts from, and of what embeds ECGs."""
    if getattr(settings, "checkpoint", None):
        return fingerprint(settings.checkpoint)
    if settings.llm_path == "tiny":  # its weights follow from settings and SEED
        return short_hash(repr(sorted(checkpoint.vocabulary.tokenizer.get_vocab().items())))
    weights = settings.tokenizer_path.glob("*.safetensors") if checkpoint.representation.embeds else ()
    return fingerprint_of_parts(_folder_of(checkpoint), *weights)

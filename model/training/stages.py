"""Stages 2 and 3 from settings to checkpoint: load, prepare ECGs, train, save."""

import hashlib
import json
import shutil
from pathlib import Path

from torch.utils.data import Dataset
from transformers import set_seed

from cardiolect.data_provider.audit.seen import load_seen, save_seen
from cardiolect.data_provider.corpora.provenance import corpora_of, corpora_of_tokenizer
from cardiolect.data_provider.corpora.ptbxl_database import parse_folds
from cardiolect.data_provider.splits import Split, corpus_weights, find_database, load_splits, seen_in_data
from cardiolect.data_provider.texts.questions import load_examples
from cardiolect.ecg_tokenizer.base import ECGRepresentation
from cardiolect.ecg_tokenizer.cached import prepare_corpus
from cardiolect.ecg_tokenizer.representations import load_representation
from cardiolect.model.evaluation.card import write_card
from cardiolect.model.evaluation.floors import KEPT, majority_floors
from cardiolect.model.llm.checkpoint import (
    Checkpoint,
    load_checkpoint,
    load_language_model,
    longest_sequence,
    new_checkpoint,
    save_checkpoint,
)
from cardiolect.model.llm.tiny import build_tiny_llama, train_bpe
from cardiolect.model.prompt.rendering import answer_text, patient_text, prompt_text, visualise
from cardiolect.model.training.adaptation import prepare_for_training, trainable_parameters
from cardiolect.model.training.rows import FinetuneDataset, PretrainDataset
from cardiolect.model.training.settings import FinetuneSettings, LanguageModelSettings, PretrainSettings, TrainSettings
from cardiolect.model.training.trainer import train
from cardiolect.utils import launch
from cardiolect.utils.errors import UserError

# Information that a checkpoint passes on to checkpoints trained from it.
INHERITED = ("embedding_seed", "projector", *KEPT, "base_model", "corpora")


def pretrain(settings: PretrainSettings) -> dict:
    """Stage 2: pretrain a language model on ECG tokens. Returns the losses."""
    splits = load_splits(settings, ("train", "valid"), task=None)
    representation = load_representation(settings.tokenizer_path)
    if representation.embeds:
        raise UserError(
            f"TOKENIZER_PATH: {settings.tokenizer_path} holds {representation.name}, which are embedded and have no "
            "tokens to predict; start with finetune.sh and LLM_PATH"
        )
    checkpoint = _new_checkpoint(settings, representation)
    ecgs = prepare_corpus(representation, [r for s in splits.values() for r in s.records], settings)
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
        )
        for name in ("train", "valid")
    )
    seen = load_seen(settings.tokenizer_path)
    return _train_and_save(checkpoint, train_rows, valid_rows, splits, settings, {"stage": "pretrain"}, seen)


def finetune(settings: FinetuneSettings) -> dict:
    """Stage 3: fine-tune on questions, reports or conversations. Returns the losses."""
    task = None if settings.tasktype == "all" else settings.tasktype
    splits = load_splits(settings, ("train", "valid"), task=task)
    if settings.checkpoint:
        unused = [key for key in ("llm_path", "tokenizer_path", "projector") if key in settings.model_fields_set]
        if unused and launch.is_main():  # the process environment may hold them for pretrain.sh
            print(f"{', '.join(unused).upper()} not used: CHECKPOINT holds a language model and an ECG tokenizer")
        checkpoint = load_checkpoint(settings.checkpoint, settings.precision, trainable=True)
    else:
        checkpoint = _new_checkpoint(settings, load_representation(settings.tokenizer_path))
    earlier = checkpoint.info.get("prompt")
    if checkpoint.info.get("stage") == "finetune" and earlier != settings.prompt and launch.is_main():
        print(f"PROMPT={settings.prompt}, but CHECKPOINT was fine-tuned with PROMPT={earlier}")
    checkpoint.use_prompt(settings.prompt)
    if checkpoint.representation.embeds and settings.ecg_loss_weight:
        raise UserError("ECG_LOSS_WEIGHT: embedded ECGs have no tokens to predict; set it to 0")
    refs = [ref for split in splits.values() for example in split.examples for ref in example.records]
    ecgs = prepare_corpus(checkpoint.representation, refs, settings)
    longest = longest_sequence(checkpoint.model)
    shared = dict(questions_per_ecg=settings.questions_per_ecg, seed=settings.seed, max_length=longest)
    train_rows = FinetuneDataset(
        checkpoint.vocabulary,
        splits["train"].examples,
        ecgs,
        ecg_loss_weight=settings.ecg_loss_weight,
        ecg_dropout=settings.ecg_dropout,
        patient_dropout=settings.patient_dropout,
        corpus_weights=corpus_weights(settings),
        **shared,
    )
    valid_rows = FinetuneDataset(checkpoint.vocabulary, splits["valid"].examples, ecgs, **shared)
    examples = splits["train"].examples
    with_patient = sum(any(example.backgrounds) for example in examples) / len(examples)
    with_patient *= 1 - settings.patient_dropout
    info = {"stage": "finetune", "train_examples": len(examples), "train_examples_with_patient": with_patient}
    info["prompt"] = settings.prompt
    info |= majority_floors(examples, settings.seed)
    seen = load_seen(settings.checkpoint or settings.tokenizer_path)
    return _train_and_save(checkpoint, train_rows, valid_rows, splits, settings, info, seen)


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
        model, tokenizer = load_language_model(settings.llm_path, settings.precision)
    checkpoint = new_checkpoint(model, tokenizer, representation, settings.seed, settings.projector)
    tiny = settings.llm_path == "tiny"
    checkpoint.info["base_model"] = "tiny, random weights" if tiny else Path(settings.llm_path).resolve().name
    checkpoint.info["corpora"] = corpora_of_tokenizer(settings.tokenizer_path)
    return checkpoint


def _training_texts(settings: LanguageModelSettings) -> set[str]:
    """Rendered prompts and answers of TINY_CORPUS, training folds only; without TINY_CORPUS, those of the manifests."""
    paths, folds = settings.tiny_corpus or settings.train_data, parse_folds(settings.train_folds)
    if paths:
        root = settings.data_root[0]
        examples = load_examples(paths, root, find_database(root), allow_missing=True).examples
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
    splits: dict[str, Split],
    settings: TrainSettings,
    info: dict,
    seen: set[str],
) -> dict:
    output = settings.output_dir
    for name, rows in (("train", train_rows), ("validation", valid_rows)):
        if len(rows) == 0:
            raise UserError(f"there are no {name} sequences: none of the recordings could be read")
        rows.check_lengths()
    if launch.is_main():
        output.mkdir(parents=True, exist_ok=True)
        if not settings.resume:
            shutil.rmtree(output / "resume", ignore_errors=True)
    set_seed(settings.seed)
    checkpoint.model = prepare_for_training(checkpoint.model, checkpoint.vocabulary, settings)
    if launch.is_main():
        trained, total = trainable_parameters(checkpoint.model)
        print(f"training {trained:,} of {total:,} parameters on {len(train_rows)} sequences; writing to {output}")
        first = train_rows[0]
        tail = slice(max(0, len(first) - 40), len(first))
        print("the end of the first sequence, supervised tokens in green:")
        print(visualise(checkpoint.vocabulary, first.ids[tail], [w > 0 for w in first.weights[tail]]))
    pad_id = checkpoint.vocabulary.tokenizer.pad_token_id
    data = _fingerprint(splits)
    begun_with = {"ECG tokenizer": checkpoint.representation.fingerprint(), "data": data}
    figures = train(checkpoint.model, train_rows, valid_rows, pad_id, settings, begun_with)
    if launch.is_main():
        inherited = {**{k: v for k, v in checkpoint.info.items() if k in INHERITED}, **info}
        checkpoint.info = {
            **inherited,
            "corpora": [*inherited.get("corpora", ()), *corpora_of(settings.data_root, info["stage"])],
            **{k: v for k, v in figures.items() if k != "loss_curve"},
            "train_records": len(splits["train"].records),
            "data_fingerprint": data,
            "settings": settings.model_dump(mode="json"),
        }
        (output / "loss_curve.json").write_text(json.dumps(figures["loss_curve"]) + "\n")
        save_checkpoint(checkpoint, output, merge=settings.checkpoint_format == "merged")
        write_card(output)
        save_seen(output, [r for split in splits.values() for r in split.records], seen | seen_in_data(settings))
        print(
            f"best validation loss {figures['valid_loss']:.4f} at step {figures['best_step']} of {figures['steps']}; "
            f"checkpoint in {output}"
        )
    launch.barrier()
    return figures


def _fingerprint(splits: dict[str, Split]) -> str:
    """Hash of the recordings and texts in each split."""
    digest = hashlib.sha256()
    for name, split in sorted(splits.items()):
        digest.update(name.encode())
        for record in sorted(r.record_id for r in split.records):
            digest.update(record.encode())
        for example in sorted((e.sample_id, e.question, *e.answers) for e in split.examples):
            digest.update(repr(example).encode())
    return digest.hexdigest()[:16]

"""Stages 2 and 3 from settings to checkpoint: load, cache codes, train, save."""

import hashlib
import json
import shutil
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import torch
from torch.utils.data import Dataset
from transformers import set_seed

from cardiolect.data_provider.audit.seen import load_seen, save_seen
from cardiolect.data_provider.corpora.provenance import corpora_of, corpora_of_tokenizer
from cardiolect.data_provider.corpora.ptbxl_database import parse_folds
from cardiolect.data_provider.examples import RecordRef
from cardiolect.data_provider.settings import DataSettings
from cardiolect.data_provider.splits import Split, corpus_weights, find_database, load_splits, seen_in_data
from cardiolect.data_provider.storage.item_cache import CodeCache, Filling, fill_code_cache
from cardiolect.data_provider.storage.stream import report_bad
from cardiolect.data_provider.texts.questions import load_examples
from cardiolect.ecg_tokenizer import ECGTokenizer
from cardiolect.model.evaluation.floors import KEPT, known_blindly
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
from cardiolect.model.training.settings import FinetuneSettings, PretrainSettings, TrainSettings
from cardiolect.model.training.trainer import train
from cardiolect.utils import launch
from cardiolect.utils.errors import UserError

# Of a checkpoint, what the one that is trained from it goes on knowing.
INHERITED = ("embedding_seed", *KEPT, "base_model", "corpora")


def pretrain(settings: PretrainSettings) -> dict:
    """Stage 2: teach a language model the alphabet of ECG codes. Returns the losses."""
    splits = load_splits(settings, ("train", "valid"), task=None)
    ecg_tokenizer = ECGTokenizer.from_pretrained(settings.tokenizer_path)
    if settings.llm_path == "tiny":
        text_tokenizer = train_bpe(_training_texts(settings), settings.tiny_vocabulary)
        model = build_tiny_llama(
            text_tokenizer,
            settings.tiny_layers,
            settings.tiny_hidden,
            settings.tiny_heads,
            settings.tiny_tied,
            settings.seed,
        )
    else:
        model, text_tokenizer = load_language_model(settings.llm_path, settings.precision)
    checkpoint = new_checkpoint(model, text_tokenizer, ecg_tokenizer, settings.seed)
    cache = open_code_cache(ecg_tokenizer, [r for s in splits.values() for r in s.records], settings)
    train_rows, valid_rows = (
        PretrainDataset(
            checkpoint.vocabulary,
            splits[name].records,
            cache,
            settings.pretrain_objective,
            settings.seed,
            ecg_tokenizer.layout.group,
            longest_sequence(checkpoint.model),
            corpus_weights(settings) if name == "train" else None,
        )
        for name in ("train", "valid")
    )
    info = {
        "stage": "pretrain",
        "base_model": "tiny, random weights" if settings.llm_path == "tiny" else Path(settings.llm_path).resolve().name,
        "corpora": corpora_of_tokenizer(settings.tokenizer_path),
    }
    return _train_and_save(
        checkpoint, train_rows, valid_rows, splits, settings, info, load_seen(settings.tokenizer_path)
    )


def finetune(settings: FinetuneSettings) -> dict:
    """Stage 3: teach it to answer questions or to write reports. Returns the losses."""
    task = None if settings.tasktype == "all" else settings.tasktype
    splits = load_splits(settings, ("train", "valid"), task=task)
    checkpoint = load_checkpoint(settings.checkpoint, settings.precision, trainable=True)
    asked_about = [ref for split in splits.values() for example in split.examples for ref in example.records]
    cache = open_code_cache(checkpoint.ecg_tokenizer, asked_about, settings)
    longest = longest_sequence(checkpoint.model)
    shared = dict(questions_per_ecg=settings.questions_per_ecg, seed=settings.seed, max_length=longest)
    train_rows = FinetuneDataset(
        checkpoint.vocabulary,
        splits["train"].examples,
        cache,
        ecg_loss_weight=settings.ecg_loss_weight,
        ecg_dropout=settings.ecg_dropout,
        corpus_weights=corpus_weights(settings),
        **shared,
    )
    valid_rows = FinetuneDataset(checkpoint.vocabulary, splits["valid"].examples, cache, **shared)
    info = {"stage": "finetune", "train_examples": len(splits["train"].examples)}
    info |= known_blindly(splits["train"].examples, settings.seed)
    return _train_and_save(checkpoint, train_rows, valid_rows, splits, settings, info, load_seen(settings.checkpoint))


def open_code_cache(ecg_tokenizer: ECGTokenizer, refs: Iterable[RecordRef], settings: DataSettings) -> CodeCache:
    """The codes of ``refs``; every rank encodes its share of what is missing.

    Raises `UserError` as soon as more than MAX_BAD_RECORDS of all recordings cannot be read.
    """
    folder = settings.cache_dir / "codes" / ecg_tokenizer.fingerprint()
    refs = list({ref.record_id: ref for ref in refs}.values())
    allowed = int(settings.max_bad_records * len(refs))
    on_gpu = settings.device != "cpu" and torch.cuda.is_available()
    cache, bad, share = CodeCache(folder), {}, slice(launch.rank(), None, launch.world_size())
    filling = fill_code_cache(
        cache,
        refs[share],
        ecg_tokenizer.to("cuda" if on_gpu else "cpu").encode_batch,
        ecg_tokenizer.config.sampling_rate,
        settings.workers,
        bad,
        allowed,
    )
    ecg_tokenizer.to("cpu")
    cache.close()
    # Each rank has looked at the files of its share: on a network that takes minutes, once is enough.
    parts = launch.gather((bad, filling, np.array([cache.key(ref) for ref in refs[share]], np.uint64)))
    of_all_ranks = {record: reason for bad, _, _ in parts for record, reason in bad.items()}
    if launch.is_main():
        filling = Filling.of_ranks([filling for _, filling, _ in parts])
        if filling.encoded:
            print(filling)
        if of_all_ranks:
            print(f"recordings that cannot be read are listed in {folder}/bad_records.jsonl")
        report_bad(of_all_ranks, len(refs), allowed)
    elif len(of_all_ranks) > allowed:
        raise SystemExit(2)  # the main rank says why
    launch.barrier()
    keys = {
        ref: key
        for rank, (_, _, found) in enumerate(parts)
        for ref, key in zip(refs[rank :: launch.world_size()], found.tolist(), strict=True)
    }
    return CodeCache(folder, keys)


def _training_texts(settings: PretrainSettings) -> set[str]:
    """Prompts and answers of TINY_CORPUS as they are rendered, of training folds only; else the manifests' own."""
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
        raise UserError("TINY_CORPUS holds no text about a training recording; the tiny model's BPE learns from them")
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
            raise UserError(f"no {name} sequence is left: none of its recordings could be read")
    if launch.is_main():
        output.mkdir(parents=True, exist_ok=True)
        if not settings.resume:
            shutil.rmtree(output / "resume", ignore_errors=True)
    set_seed(settings.seed)
    checkpoint.model = prepare_for_training(checkpoint.model, checkpoint.vocabulary, settings)
    if launch.is_main():
        some, all_ = trainable_parameters(checkpoint.model)
        print(f"training {some:,} of {all_:,} parameters on {len(train_rows)} sequences; writing to {output}")
        first = train_rows[0]
        shown = slice(max(0, len(first) - 40), len(first))
        print("the end of the first sequence, supervised tokens in green:")
        print(visualise(checkpoint.vocabulary, first.ids[shown], [w > 0 for w in first.weights[shown]]))
    pad_id = checkpoint.vocabulary.tokenizer.pad_token_id
    figures = train(checkpoint.model, train_rows, valid_rows, pad_id, settings)
    if launch.is_main():
        known = {**{k: v for k, v in checkpoint.info.items() if k in INHERITED}, **info}
        checkpoint.info = {
            **known,
            "corpora": [*known.get("corpora", ()), *corpora_of(settings.data_root, info["stage"])],
            **{k: v for k, v in figures.items() if k != "loss_curve"},
            "train_records": len(splits["train"].records),
            "data_fingerprint": _fingerprint(splits),
            "settings": settings.model_dump(mode="json"),
        }
        (output / "loss_curve.json").write_text(json.dumps(figures["loss_curve"]) + "\n")
        save_checkpoint(checkpoint, output, merge=settings.checkpoint_format == "merged")
        save_seen(output, [r for split in splits.values() for r in split.records], seen | seen_in_data(settings))
        print(
            f"best validation loss {figures['valid_loss']:.4f} at step {figures['best_step']} of {figures['steps']}; "
            f"checkpoint in {output}"
        )
    launch.barrier()
    return figures


def _fingerprint(splits: dict[str, Split]) -> str:
    """Hash of which recordings and texts stood in which split."""
    digest = hashlib.sha256()
    for name, split in sorted(splits.items()):
        digest.update(name.encode())
        for record in sorted(r.record_id for r in split.records):
            digest.update(record.encode())
        for example in sorted((e.sample_id, e.question, *e.answers) for e in split.examples):
            digest.update(repr(example).encode())
    return digest.hexdigest()[:16]

"""Training sequences: packed rows of stages 2 and 3, built from prepared ECGs."""

import random
from collections.abc import Mapping, Sequence

import numpy as np
from torch.utils.data import Dataset

from cardiolect.data_provider.corpora.mixture import take
from cardiolect.data_provider.examples import Example, RecordRef
from cardiolect.ecg_tokenizer.cached import CachedECGs
from cardiolect.model.prompt.rendering import render_ecgs, render_prefix, render_turn
from cardiolect.model.prompt.vocabulary import Vocabulary
from cardiolect.model.training.objectives import draw_windows
from cardiolect.model.training.packing import Packed, pack
from cardiolect.utils.errors import UserError


def _check_length(packed: Packed, refs: Sequence[RecordRef], max_length: int | None, ecgs: CachedECGs) -> Packed:
    """Return ``packed``; raise `UserError` if its longest sequence does not fit the language model."""
    if max_length and max(packed.positions) >= max_length:
        records = " and ".join(ref.record_id for ref in refs)
        raise UserError(
            f"record {records}: ECG and text have {max(packed.positions) + 1} tokens, but the language model takes "
            f"{max_length}; use shorter recordings, or fewer tokens per second ({ecgs.representation.fewer_tokens})"
        )
    return packed


class PretrainDataset(Dataset):
    """One row per recording: the whole ECG, or one window of it per scale."""

    shares_prefix = False

    def __init__(
        self,
        vocabulary: Vocabulary,
        refs: Sequence[RecordRef],
        ecgs: CachedECGs,
        objective: str,
        seed: int = 0,
        group: int = 1,
        max_length: int | None = None,
        corpus_weights: Mapping[str, float] | None = None,
    ):
        self.vocabulary, self.ecgs, self.objective, self.seed = vocabulary, ecgs, objective, seed
        self.group, self.max_length, self.corpus_weights = group, max_length, corpus_weights or {}
        self.corpora: dict[str, list[RecordRef]] = {}
        for ref in refs:
            if ref in ecgs:
                self.corpora.setdefault(ref.corpus, []).append(ref)
        self.set_epoch(0)

    def set_epoch(self, epoch: int) -> None:
        """Draw this epoch's windows and, from corpora that are only used in part, its recordings."""
        self.epoch = epoch
        rng = random.Random(f"{self.seed}-{epoch}")
        self.refs = [
            ref for name, refs in self.corpora.items() for ref in take(refs, self.corpus_weights.get(name, 1), rng)
        ]

    def __len__(self) -> int:
        return len(self.refs)

    def lengths(self) -> list[int]:
        """Number of tokens per row, up to a constant."""
        return [self.ecgs.num_tokens(ref) for ref in self.refs]

    def check_lengths(self) -> None:
        """Raise `UserError` if the longest recording does not fit the language model."""
        self[int(np.argmax(self.lengths()))]

    def __getitem__(self, i: int) -> Packed:
        codes = self.ecgs.ecg(self.refs[i]).token_ids
        if self.objective == "multiscale":
            rng = np.random.default_rng([self.seed, self.epoch, i])
            drawn = draw_windows(self.vocabulary, np.asarray(codes), rng, self.group)
            if not drawn:
                raise UserError(
                    f"record {self.refs[i].record_id}: too short for any window of PRETRAIN_OBJECTIVE=multiscale"
                )
            windows = pack([], drawn)
            return _check_length(windows, [self.refs[i]], self.max_length, self.ecgs)
        ids, of_ecg = render_ecgs(self.vocabulary, [codes], [""])
        whole = pack(ids, [], [float(supervised) for supervised in of_ecg])
        return _check_length(whole, [self.refs[i]], self.max_length, self.ecgs)


class FinetuneDataset(Dataset):
    """Rows of one ECG followed by up to ``questions_per_ecg`` questions; every question occurs once per epoch.

    Comparisons follow their two ECGs in the same way.
    """

    shares_prefix = True

    def __init__(
        self,
        vocabulary: Vocabulary,
        examples: Sequence[Example],
        ecgs: CachedECGs,
        questions_per_ecg: int = 1,
        ecg_loss_weight: float = 0.0,
        ecg_dropout: float = 0.0,
        patient_dropout: float = 0.0,
        seed: int = 0,
        max_length: int | None = None,
        corpus_weights: Mapping[str, float] | None = None,
    ):
        self.vocabulary, self.ecgs, self.seed, self.corpus_weights = vocabulary, ecgs, seed, corpus_weights or {}
        self.questions_per_ecg, self.ecg_loss_weight = questions_per_ecg, ecg_loss_weight
        self.ecg_dropout, self.patient_dropout, self.max_length = ecg_dropout, patient_dropout, max_length
        groups: dict[tuple[tuple[RecordRef, ...], tuple[str, ...]], list[tuple[list[int], list[float]]]] = {}
        rendered: dict[tuple, tuple[list[int], list[float]]] = {}  # most texts occur with many ECGs
        for example in examples:
            if all(ref in ecgs for ref in example.records):
                text = (example.task, example.history, example.question, *example.answers)
                if text not in rendered:
                    ids, mask = render_turn(vocabulary, example)
                    rendered[text] = (ids, [float(m) for m in mask])
                groups.setdefault((example.records, example.backgrounds), []).append(rendered[text])
        self.groups = list(groups.items())
        self.set_epoch(0)

    def set_epoch(self, epoch: int) -> None:
        """Draw which questions share a row in this epoch, and which rows lose their ECG or their patient."""
        self.epoch = epoch
        rng, patient_rng = random.Random(f"{self.seed}-{epoch}"), random.Random(f"{self.seed}-{epoch}-patient")
        corpora: dict[str, list[tuple[int, list[int], bool, bool]]] = {}
        for group, ((refs, _), turns) in enumerate(self.groups):
            order = rng.sample(range(len(turns)), len(turns))
            rows = -(-len(turns) // self.questions_per_ecg)
            for row in range(rows):  # 13 questions, at most 12 per row: rows of 7 and 6, not of 12 and 1
                without_ecg = rng.random() < self.ecg_dropout
                without_patient = patient_rng.random() < self.patient_dropout
                chosen = (group, order[row::rows], without_ecg, without_patient)
                corpora.setdefault(refs[0].corpus, []).append(chosen)
        self.rows = [row for name, rows in corpora.items() for row in take(rows, self.corpus_weights.get(name, 1), rng)]

    def __len__(self) -> int:
        return len(self.rows)

    def lengths(self) -> list[int]:
        """Number of tokens per row, up to a constant."""
        tokens = [[len(ids) for ids, _ in turns] for _, turns in self.groups]
        lengths = [sum(map(self.ecgs.num_tokens, refs)) for (refs, _), _ in self.groups]
        return [
            sum(tokens[group][k] for k in chosen) + (0 if dropped else lengths[group])
            for group, chosen, dropped, _ in self.rows
        ]

    def check_lengths(self) -> None:
        """Raise `UserError` if the longest ECG and question do not fit the language model."""

        def length(group) -> int:
            (refs, _), turns = group
            return sum(map(self.ecgs.num_tokens, refs)) + max(len(ids) for ids, _ in turns)

        (refs, backgrounds), turns = max(self.groups, key=length)
        ids, _, _ = render_prefix(self.vocabulary, [self.ecgs.ecg(ref) for ref in refs], backgrounds)
        longest = max(turns, key=lambda turn: len(turn[0]))
        _check_length(pack(ids, [longest]), refs, self.max_length, self.ecgs)

    def __getitem__(self, i: int) -> Packed:
        group, chosen, without_ecg, without_patient = self.rows[i]
        (refs, backgrounds), turns = self.groups[group]
        ecgs = [None if without_ecg else self.ecgs.ecg(ref) for ref in refs]
        if without_patient:
            backgrounds = [""] * len(refs)
        ids, of_ecg, items = render_prefix(self.vocabulary, ecgs, backgrounds)
        packed = pack(ids, [turns[k] for k in chosen], [self.ecg_loss_weight * is_ecg for is_ecg in of_ecg], items)
        return _check_length(packed, refs, self.max_length, self.ecgs)

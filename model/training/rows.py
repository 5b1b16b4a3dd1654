"""Training sequences: packed rows of stages 2 and 3, built from prepared ECGs."""

import random
from collections.abc import Mapping, Sequence
from functools import cached_property

import numpy as np
from torch.utils.data import Dataset

from cardiolect.data_provider.corpora.mixture import take
from cardiolect.data_provider.examples import Example, RecordRef
from cardiolect.ecg_tokenizer.cached import CachedECGs
from cardiolect.model.prompt.rendering import render_ecgs, render_prefix, render_turn
from cardiolect.model.prompt.vocabulary import Vocabulary
from cardiolect.model.training.lengths import Unfit
from cardiolect.model.training.objectives import draw_windows, windows_length
from cardiolect.model.training.packing import Packed, pack


def _window(ecgs: CachedECGs, ref: RecordRef, seed: int, epoch: int | None) -> int:
    """The window of a recording in an epoch: drawn by seed, epoch and recording; the first if the epoch is None."""
    windows = ecgs.windows(ref) if epoch is not None else 1
    return random.Random(f"{seed}-{epoch}-{ref.record_id}").randrange(windows) if windows > 1 else 0


def _most_tokens(ecgs: CachedECGs, ref: RecordRef) -> int:
    """Tokens of the longest window of a recording."""
    return max(ecgs.num_tokens(ref, window) for window in range(ecgs.windows(ref)))


class PretrainDataset(Dataset):
    """One row per recording: the whole ECG, or one window of it per scale.

    Recordings that do not fit the language model or the objective are left out at once (`unfit`). random_windows:
    draw a window of each long recording in every epoch, and do not always take the first.
    """

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
        random_windows: bool = False,
    ):
        self.vocabulary, self.ecgs, self.objective, self.seed = vocabulary, ecgs, objective, seed
        self.group, self.corpus_weights, self.random_windows = group, corpus_weights or {}, random_windows
        self.unfit = Unfit("recordings", max_length)
        self.corpora: dict[str, list[RecordRef]] = {}
        limited = max_length is not None or objective == "multiscale"
        for ref in refs:
            if ref in ecgs and (not limited or self.unfit.fits(self._longest_sequence(ref), ref.record_id)):
                self.corpora.setdefault(ref.corpus, []).append(ref)
        self.set_epoch(0)

    def set_epoch(self, epoch: int) -> None:
        """Draw this epoch's windows and, from corpora that are only used in part, its recordings."""
        self.epoch = epoch
        rng = random.Random(f"{self.seed}-{epoch}")
        self.refs = [
            ref for name, refs in self.corpora.items() for ref in take(refs, self.corpus_weights.get(name, 1), rng)
        ]

    @property
    def records(self) -> list[RecordRef]:
        """The recordings of all epochs."""
        return [ref for name, refs in self.corpora.items() if self.corpus_weights.get(name, 1) for ref in refs]

    def __len__(self) -> int:
        return len(self.refs)

    def lengths(self) -> list[int]:
        """Number of tokens per row."""
        return [self._tokens(self.ecgs.num_tokens(ref, self._window(ref))) for ref in self.refs]

    def longest_row(self) -> tuple[int, str]:
        """Tokens of the longest row of any epoch, and the id of its recording."""
        refs = [ref for refs in self.corpora.values() for ref in refs]
        return max((self._tokens(_most_tokens(self.ecgs, ref)), ref.record_id) for ref in refs)

    def _tokens(self, codes: int) -> int:
        """Tokens of the row of an ECG of so many codes."""
        if self.objective == "multiscale":
            return windows_length(self.vocabulary, codes, self.group)[0]
        return codes + self._markers

    @cached_property
    def _markers(self) -> int:
        """Tokens of a row without codes."""
        return len(render_ecgs(self.vocabulary, [[]], [""])[0])

    def _longest_sequence(self, ref: RecordRef) -> int:
        """Tokens of the longest sequence in any row of the recording; 0 if one of its windows is too short."""
        tokens = [self.ecgs.num_tokens(ref, window) for window in range(self.ecgs.windows(ref))]
        if self.objective == "multiscale":
            longest = [windows_length(self.vocabulary, codes, self.group)[1] for codes in tokens]
            return max(longest) if all(longest) else 0
        return self._tokens(max(tokens))

    def _window(self, ref: RecordRef) -> int:
        return _window(self.ecgs, ref, self.seed, self.epoch if self.random_windows else None)

    def __getitem__(self, i: int) -> Packed:
        ref = self.refs[i]
        codes = self.ecgs.ecg(ref, self._window(ref)).token_ids
        if self.objective == "multiscale":
            rng = np.random.default_rng([self.seed, self.epoch, i])
            return pack([], draw_windows(self.vocabulary, np.asarray(codes), rng, self.group))
        ids, of_ecg = render_ecgs(self.vocabulary, [codes], [""])
        return pack(ids, [], [float(supervised) for supervised in of_ecg])


class FinetuneDataset(Dataset):
    """Rows of one ECG followed by up to ``questions_per_ecg`` questions; every question occurs once per epoch.

    Comparisons follow their two ECGs in the same way. Questions that do not fit the language model with their ECGs are
    left out at once (`unfit`). random_windows: as of `PretrainDataset`; all questions about a recording have the
    same window in an epoch.

    examples: those that the epochs draw from, without what cannot be read, does not fit or has a weight of 0.
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
        random_windows: bool = False,
    ):
        self.vocabulary, self.ecgs, self.seed, self.corpus_weights = vocabulary, ecgs, seed, corpus_weights or {}
        self.questions_per_ecg, self.ecg_loss_weight = questions_per_ecg, ecg_loss_weight
        self.ecg_dropout, self.patient_dropout, self.random_windows = ecg_dropout, patient_dropout, random_windows
        self.unfit = Unfit("questions and reports", max_length)
        self._texts_before: dict[tuple[str, ...], int] = {}
        self.examples: list[Example] = []
        groups: dict[tuple[tuple[RecordRef, ...], tuple[str, ...]], list[tuple[list[int], list[float]]]] = {}
        rendered: dict[tuple, tuple[list[int], list[float]]] = {}  # most texts occur with many ECGs
        prefixes: dict[tuple, int] = {}
        for example in examples:
            if not all(ref in ecgs for ref in example.records):
                continue
            text = (example.task, example.history, example.question, *example.answers)
            if text not in rendered:
                ids, mask = render_turn(vocabulary, example)
                rendered[text] = (ids, [float(m) for m in mask])
            key = (example.records, example.backgrounds)
            if max_length is not None:
                if key not in prefixes:
                    prefixes[key] = self._longest_prefix(*key)
                tokens = prefixes[key] + len(rendered[text][0])
                if not self.unfit.fits(tokens, " and ".join(example.record_ids)):
                    continue
            groups.setdefault(key, []).append(rendered[text])
            if self.corpus_weights.get(example.records[0].corpus, 1):
                self.examples.append(example)
        self.groups = list(groups.items())
        self.set_epoch(0)

    @property
    def records(self) -> list[RecordRef]:
        """The recordings that `examples` are about."""
        return list({ref.record_id: ref for example in self.examples for ref in example.records}.values())

    def _longest_prefix(self, refs: Sequence[RecordRef], backgrounds: tuple[str, ...]) -> int:
        """Tokens of the longest windows of these recordings, and of what is with them before a question."""
        return self._text_before(backgrounds) + sum(_most_tokens(self.ecgs, ref) for ref in refs)

    def _text_before(self, backgrounds: tuple[str, ...]) -> int:
        """Tokens of what precedes a question, without the tokens of ECGs."""
        if backgrounds not in self._texts_before:
            ids, _ = render_ecgs(self.vocabulary, [[] for _ in backgrounds], backgrounds)
            self._texts_before[backgrounds] = len(ids)
        return self._texts_before[backgrounds]

    def _window(self, ref: RecordRef) -> int:
        return _window(self.ecgs, ref, self.seed, self.epoch if self.random_windows else None)

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
        """Number of tokens per row."""
        ecgs = [sum(self.ecgs.num_tokens(ref, self._window(ref)) for ref in refs) for (refs, _), _ in self.groups]
        turns = [[len(ids) for ids, _ in turns] for _, turns in self.groups]
        return [
            self._text_before(("",) * len(refs) if without_patient else backgrounds)
            + (0 if without_ecg else ecgs[group])
            + sum(turns[group][k] for k in chosen)
            for group, chosen, without_ecg, without_patient in self.rows
            for refs, backgrounds in (self.groups[group][0],)
        ]

    def longest_row(self) -> tuple[int, str]:
        """The most tokens that a row of any epoch can have, and the ids of its recordings."""
        found = (0, "")
        for (refs, backgrounds), turns in self.groups:
            rows = -(-len(turns) // self.questions_per_ecg)
            longest = sorted((len(ids) for ids, _ in turns), reverse=True)[: -(-len(turns) // rows)]
            ecgs = sum(_most_tokens(self.ecgs, ref) for ref in refs)
            tokens = self._text_before(backgrounds) + ecgs + sum(longest)
            found = max(found, (tokens, " and ".join(ref.record_id for ref in refs)))
        return found

    def __getitem__(self, i: int) -> Packed:
        group, chosen, without_ecg, without_patient = self.rows[i]
        (refs, backgrounds), turns = self.groups[group]
        ecgs = [None if without_ecg else self.ecgs.ecg(ref, self._window(ref)) for ref in refs]
        if without_patient:
            backgrounds = [""] * len(refs)
        ids, of_ecg, items = render_prefix(self.vocabulary, ecgs, backgrounds)
        return pack(ids, [turns[k] for k in chosen], [self.ecg_loss_weight * is_ecg for is_ecg in of_ecg], items)

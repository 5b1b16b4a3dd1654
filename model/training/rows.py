"""Training sequences: packed rows of stages 2 and 3, built from prepared ECGs."""

import random
from collections.abc import Mapping, Sequence
from functools import cached_property, lru_cache

import numpy as np
from torch.utils.data import Dataset

from cardiolect.data_provider.corpora.mixture import take
from cardiolect.data_provider.examples import Example, RecordRef
from cardiolect.data_provider.storage.example_table import Examples
from cardiolect.ecg_tokenizer.base import Neighbour, PreparedECG
from cardiolect.ecg_tokenizer.cached import CachedECGs
from cardiolect.model.prompt.rendering import render_ecgs, render_prefix, render_turn, with_codes
from cardiolect.model.prompt.vocabulary import Vocabulary
from cardiolect.model.training.draws import shares, shuffled, stream
from cardiolect.model.training.lengths import Unfit
from cardiolect.model.training.objectives import draw_windows, windows_length
from cardiolect.model.training.packing import Packed, pack
from cardiolect.model.training.windows import Windows

GROUPS_AT_ONCE = 2**14


def _by_corpus(corpora: Sequence[str]) -> dict[str, np.ndarray]:
    """Corpus -> which of the rows are of it, in order."""
    names, of_row = np.unique(np.array(corpora, dtype=object), return_inverse=True)
    return {str(name): np.flatnonzero(of_row == k) for k, name in enumerate(names)}


def _take(rows: Mapping[str, np.ndarray], weights: Mapping[str, float], rng: random.Random) -> np.ndarray:
    """The rows of an epoch, by how often each corpus is used."""
    parts = [each if weights.get(name, 1) == 1 else take(each, weights[name], rng) for name, each in rows.items()]
    return np.concatenate([np.empty(0, np.int32), *parts]).astype(np.int32)


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
        self.group, self.corpus_weights = group, corpus_weights or {}
        self.unfit = Unfit("recordings", max_length)
        self._all = [ref for ref in refs if ref in ecgs]
        self._windows = Windows(ecgs, self._all, seed, random_windows)
        self._kept = np.arange(len(self._all))
        if max_length is not None or objective == "multiscale":
            longest = np.array([self._longest_sequence(k) for k in range(len(self._all))], np.int64)
            self._kept = self._kept[self.unfit.fitting(longest, lambda k: self._all[k].record_id)]
        self._corpora = _by_corpus([self._all[k].corpus for k in self._kept])
        self.set_epoch(0)

    def set_epoch(self, epoch: int) -> None:
        """Draw this epoch's windows and, from corpora that are only used in part, its recordings."""
        self.epoch = epoch
        self._windows.set_epoch(epoch)
        rng = random.Random(f"{self.seed}-{epoch}")
        self._rows = self._kept[_take(self._corpora, self.corpus_weights, rng)]

    @property
    def records(self) -> list[RecordRef]:
        """The recordings of all epochs."""
        return [self._all[k] for k in self._kept if self.corpus_weights.get(self._all[k].corpus, 1)]

    @property
    def refs(self) -> list[RecordRef]:
        """The recording of every row."""
        return [self._all[k] for k in self._rows]

    def __len__(self) -> int:
        return len(self._rows)

    def lengths(self) -> np.ndarray:
        """Number of tokens per row."""
        return self._tokens(self._windows.tokens()[self._rows])

    def longest_row(self) -> tuple[int, str]:
        """Tokens of the longest row of any epoch, and the id of its recording."""
        tokens = self._tokens(self._windows.most()[self._kept])
        k = int(tokens.argmax())
        return int(tokens[k]), self._all[self._kept[k]].record_id

    def _tokens(self, codes: np.ndarray) -> np.ndarray:
        """Tokens of the rows of ECGs of so many codes."""
        if self.objective == "multiscale":
            numbers, of_row = np.unique(codes, return_inverse=True)
            lengths = [windows_length(self.vocabulary, int(number), self.group)[0] for number in numbers]
            return np.array(lengths, np.int64)[of_row]
        return codes + self._markers

    @cached_property
    def _markers(self) -> int:
        """Tokens of a row without codes."""
        return len(render_ecgs(self.vocabulary, [[]], [""])[0])

    def _longest_sequence(self, k: int) -> int:
        """Tokens of the longest sequence in any row of the recording; 0 if one of its windows is too short."""
        tokens = self._windows.of(k)
        if self.objective == "multiscale":
            longest = [windows_length(self.vocabulary, int(codes), self.group)[1] for codes in tokens]
            return max(longest) if all(longest) else 0
        return int(tokens.max()) + self._markers

    def __getitem__(self, i: int) -> Packed:
        k = self._rows[i]
        codes = self.ecgs.ecg(self._all[k], int(self._windows.chosen[k])).token_ids
        if self.objective == "multiscale":
            rng = np.random.default_rng([self.seed, self.epoch, i])
            return pack([], draw_windows(self.vocabulary, np.asarray(codes), rng, self.group))
        ids, of_ecg = render_ecgs(self.vocabulary, [codes], [""])
        return pack(ids, [], [float(supervised) for supervised in of_ecg])


class FinetuneDataset(Dataset):
    """Rows of one ECG followed by up to ``questions_per_ecg`` questions; every question occurs once per epoch.

    A conversation counts as one question: all its answers are supervised where they stand. Comparisons follow their two
    ECGs in the same way. Questions that do not fit the language model with their ECGs are left out at once (`unfit`).
    random_windows: as of `PretrainDataset`; all questions about a recording have the same window in an epoch.

    part_dropout: share of rows that keep the one part of their ECG, and of those that keep the other, see
    `ECGRepresentation.parts`. neighbour_dropout: share of rows without the texts of similar recordings. If there
    are such texts, half as many rows as lose them and the ECG (ecg_dropout) lose the ECG alone, in addition to those.

    examples: those that the epochs draw from, without what cannot be read, does not fit or has a weight of 0.

    In memory are four bytes for a question, and a few for a row and a group, which is what shares recordings and
    background; texts are rendered when a row is asked for.
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
        part_dropout: float = 0.0,
        neighbour_dropout: float = 0.0,
        seed: int = 0,
        max_length: int | None = None,
        corpus_weights: Mapping[str, float] | None = None,
        random_windows: bool = False,
    ):
        self.vocabulary, self.ecgs, self.seed, self.corpus_weights = vocabulary, ecgs, seed, corpus_weights or {}
        self.ecg_loss_weight, self.ecg_dropout, self.patient_dropout = ecg_loss_weight, ecg_dropout, patient_dropout
        self.part_dropout, self.neighbour_dropout = part_dropout, neighbour_dropout
        self.unfit = Unfit("questions and reports", max_length)
        self._turn = lru_cache(2**14)(self._render)
        examples = Examples.of(examples)
        used = examples.used()
        self._windows = Windows(ecgs, examples.refs, seed, random_windows, used)
        cached = np.array([self._windows.known[examples.members_of(g)].all() for g in range(examples.num_groups)], bool)
        kept = cached[examples.group]
        group, texts = examples.group[kept], examples.text[kept]
        order = np.argsort(group, kind="stable")
        of_turn, self.examples = np.flatnonzero(kept)[order], examples
        self._turns, group = texts[order], group[order]  # the text of each question, sorted by group
        self._text_tokens = np.zeros(examples.num_texts, np.int32)
        for text in np.flatnonzero(np.bincount(texts, minlength=examples.num_texts)):
            self._text_tokens[text] = len(self._render(text)[0])
        self._split(group)
        if max_length is not None:
            most = self._text_before[0] + self._ecg_tokens(self._windows.most())
            tokens = np.repeat(most, self._sizes) + self._text_tokens[self._turns]
            group_of_turn = np.repeat(np.arange(len(self._sizes)), self._sizes)
            fitting = self.unfit.fitting(tokens, lambda k: self._record_ids(group_of_turn[k]))
            if not fitting.all():
                self._turns, of_turn, group = self._turns[fitting], of_turn[fitting], group[fitting]
                self._split(group)
        whole = self._whole_conversations(group)
        if not whole.all():
            self._turns = self._turns[whole]
            self._split(group[whole])
        self._rows_of = -(-self._sizes // questions_per_ecg)  # 13 questions, at most 12 per row: rows of 7 and 6
        self._row_starts = np.cumsum(np.concatenate([[0], self._rows_of]))
        corpora = [examples.refs[examples.members_of(g)[0]].corpus for g in self._groups]
        several = len(set(corpora)) > 1 or self.corpus_weights.get(next(iter(corpora), ""), 1) != 1
        self._corpora = _by_corpus(np.repeat(np.array(corpora, object), self._rows_of)) if several else None
        drawn = np.zeros(len(examples), bool)
        drawn[of_turn] = True
        if several:
            used = [self.corpus_weights.get(corpus, 1) > 0 for corpus in corpora]
            drawn[of_turn] = np.isin(group, self._groups[used])
        self.examples = examples.select(drawn)
        self.set_epoch(0)

    @property
    def records(self) -> list[RecordRef]:
        """The recordings that `examples` are about."""
        return self.examples.used_refs()

    def _split(self, group: np.ndarray) -> None:
        """Note the groups of the questions, which are sorted by them."""
        self.__dict__.pop("_text_before", None)
        self._groups, self._starts, self._sizes = np.unique(group, return_index=True, return_counts=True)
        members = [self.examples.members_of(g) for g in self._groups]
        self._members = np.concatenate([np.empty(0, np.int32), *members]).astype(np.int32)
        self._member_starts = np.cumsum([0, *map(len, members)])[:-1]

    def _whole_conversations(self, group: np.ndarray) -> np.ndarray:
        """Boolean, for each question: false if the conversation goes on, since its end then teaches this answer too.

        group: of each question.
        """
        places, pasts = [], set()
        for k in np.flatnonzero(self.examples.in_conversations()[self._turns]):
            example = self.examples.text_example(int(self._turns[k]))
            past, turn = example.history, (example.question, *example.answers)
            places.append((k, hash((int(group[k]), *past, turn))))
            if past:
                pasts.add(hash((int(group[k]), *past)))
        whole = np.ones(len(group), bool)
        whole[[k for k, path in places if path in pasts]] = False
        return whole

    def _render(self, text: int) -> tuple[list[int], list[float]]:
        ids, mask = render_turn(self.vocabulary, self.examples.text_example(int(text)))
        return ids, [float(m) for m in mask]

    def _record_ids(self, group: int) -> str:
        return " and ".join(ref.record_id for ref in self.examples.records_of(self._groups[group]))

    @cached_property
    def _text_before(self) -> tuple[np.ndarray, np.ndarray]:
        """Tokens of what precedes the questions of each group, without those of ECGs: with and without the patient."""

        @lru_cache(None)
        def tokens(backgrounds: tuple[str, ...], neighbours: tuple[tuple[Neighbour, ...], ...] | None) -> int:
            return len(render_ecgs(self.vocabulary, [[]] * len(backgrounds), backgrounds, neighbours)[0])

        backgrounds = [self.examples.backgrounds_of(group) for group in self._groups]
        similar = [None] * len(self._groups)
        if self.ecgs.neighbours:
            of_groups = map(self.examples.records_of, self._groups)
            similar = [tuple(self.ecgs.neighbours.get(ref.record_id, ()) for ref in refs) for refs in of_groups]
        without = [tokens(("",) * len(each), others) for each, others in zip(backgrounds, similar, strict=True)]
        return np.array([*map(tokens, backgrounds, similar)], np.int32), np.array(without, np.int32)

    def _ecg_tokens(self, tokens: np.ndarray) -> np.ndarray:
        """The tokens of the ECGs of each group. tokens: of each recording."""
        return np.add.reduceat(tokens[self._members], self._member_starts) if len(self._members) else self._sizes

    def set_epoch(self, epoch: int) -> None:
        """Draw which questions share a row in this epoch, and which rows lose their ECG or their patient."""
        self.epoch, self._lengths = epoch, None
        self._windows.set_epoch(epoch)
        dropped = (f"{what} dropout" for what in ("ECG", "patient", "part", "neighbour"))
        self._order, self._no_ecg, self._no_patient, self._part, self._alone = (
            stream(self.seed, epoch, what) for what in ("questions", *dropped)
        )
        rng = random.Random(f"{self.seed}-{epoch}")
        self._taken = None if self._corpora is None else _take(self._corpora, self.corpus_weights, rng)

    def __len__(self) -> int:
        return int(self._row_starts[-1]) if self._taken is None else len(self._taken)

    def lengths(self) -> np.ndarray:
        """Number of tokens per row, at most: rows that lose a part of their ECG or its neighbours count as whole."""
        if self._lengths is None:
            self._lengths = self._count()
        return self._lengths if self._taken is None else self._lengths[self._taken]

    def _count(self) -> np.ndarray:
        """Tokens of every row, those that are not taken in this epoch included."""
        found = np.zeros(self._row_starts[-1], np.int32)
        ecgs, before = self._ecg_tokens(self._windows.tokens()), self._text_before
        for first in range(0, len(self._groups), GROUPS_AT_ONCE):
            some = slice(first, first + GROUPS_AT_ONCE)
            starts, sizes, rows_of = self._starts[some], self._sizes[some], self._rows_of[some]
            order = shuffled(self._order, starts, sizes)
            tokens = self._text_tokens[self._turns[order + np.repeat(starts, sizes)]]
            ends = np.cumsum(sizes)
            place = np.arange(ends[-1]) - np.repeat(ends - sizes, sizes)
            begin = self._row_starts[first]
            row = np.repeat(self._row_starts[some][: len(sizes)] - begin, sizes) + place % np.repeat(rows_of, sizes)
            rows = np.arange(begin, begin + rows_of.sum())
            texts = [np.repeat(each[some], rows_of) for each in before]
            found[rows] = np.bincount(row, tokens, len(rows))
            found[rows] += np.where(shares(self._no_patient, rows) < self.patient_dropout, texts[1], texts[0])
            without = (shares(self._no_ecg, rows) < self.ecg_dropout) | self._texts_alone(rows)
            found[rows] += np.where(without, 0, np.repeat(ecgs[some], rows_of))
        return found

    def longest_row(self) -> tuple[int, str]:
        """The most tokens that a row of any epoch can have, and the ids of its recordings."""
        if not len(self._groups):
            return 0, ""
        group = np.repeat(np.arange(len(self._sizes), dtype=np.int64), self._sizes)
        longest_first = np.sort((group << 32) - self._text_tokens[self._turns])
        place = np.arange(len(group)) - np.repeat(self._starts, self._sizes)
        most = place < np.repeat(-(-self._sizes // self._rows_of), self._sizes)
        texts = np.bincount(group, ((group << 32) - longest_first) * most)
        tokens = self._text_before[0] + self._ecg_tokens(self._windows.most()) + texts.astype(np.int64)
        longest = int(tokens.argmax())
        return int(tokens[longest]), self._record_ids(longest)

    def place_of(self, i: int) -> tuple[int, np.ndarray, bool, bool]:
        """The group of a row, its questions in it, and whether it lacks its ECG, or its patient, in this epoch."""
        row = i if self._taken is None else int(self._taken[i])
        group = int(np.searchsorted(self._row_starts, row, side="right")) - 1
        some = slice(group, group + 1)
        order = shuffled(self._order, self._starts[some], self._sizes[some])
        chosen = order[row - self._row_starts[group] :: self._rows_of[group]]
        number = np.array([row])
        without_ecg = bool(shares(self._no_ecg, number)[0] < self.ecg_dropout)
        return group, chosen, without_ecg, bool(shares(self._no_patient, number)[0] < self.patient_dropout)

    def records_of(self, i: int) -> tuple[RecordRef, ...]:
        """The recordings of a row."""
        return self.examples.records_of(self._groups[self.place_of(i)[0]])

    def _ecg(self, i: int, recording: int) -> PreparedECG:
        """The ECG of a row; in some rows, one part of it alone (`part_dropout`), or only the texts of similar ones."""
        ecg = self.ecgs.ecg(self.examples.refs[recording], int(self._windows.chosen[recording]))
        row = np.array([i if self._taken is None else int(self._taken[i])])
        if self._texts_alone(row)[0]:
            return PreparedECG(ecg.key, (), ecg.item, None, ecg.neighbours)
        if shares(self._alone, row)[0] < self.neighbour_dropout:
            ecg = ecg._replace(neighbours=())
        if not self.part_dropout:
            return ecg
        parts = list(self.ecgs.representation.parts(ecg.item).values())
        chosen = int(shares(self._part, row)[0] / self.part_dropout)
        if chosen >= len(parts):
            return ecg
        return self.ecgs.representation.prepared(ecg.key, parts[chosen])._replace(neighbours=ecg.neighbours)

    def _texts_alone(self, rows: np.ndarray) -> np.ndarray:
        """Boolean: which rows have the texts of similar recordings without the ECG, unless `ecg_dropout` takes both."""
        if not self.ecgs.neighbours:
            return np.zeros(len(rows), bool)
        # From the other end than neighbour_dropout: no row is without both.
        return shares(self._alone, rows) >= 1 - self.ecg_dropout / 2

    def __getitem__(self, i: int) -> Packed:
        group, chosen, without_ecg, without_patient = self.place_of(i)
        members = self.examples.members_of(self._groups[group])
        ecgs = [None if without_ecg else self._ecg(i, int(k)) for k in members]
        backgrounds = [""] * len(members) if without_patient else self.examples.backgrounds_of(self._groups[group])
        ids, of_ecg, items = render_prefix(self.vocabulary, ecgs, backgrounds)
        turns = [self._turn(int(text)) for text in self._turns[self._starts[group] + chosen]]
        turns = [(with_codes(self.vocabulary, turn, ecgs), weights) for turn, weights in turns]
        return pack(ids, turns, [self.ecg_loss_weight * is_ecg for is_ecg in of_ecg], items)

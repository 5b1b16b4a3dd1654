"""The data side of fine-tuning before examples were mapped: every question a Python object, every mask dense."""

import random
from collections.abc import Sequence

import torch

from cardiolect.data_provider.examples import Example
from cardiolect.model.prompt.rendering import render_ecgs, render_turn
from cardiolect.model.prompt.vocabulary import Vocabulary
from cardiolect.model.training.packing import Packed, pack

STEPS_PER_BUCKET = 20


class RowsInMemory:
    """Rows of one ECG followed by up to ``questions_per_ecg`` questions, and their batches by similar length."""

    def __init__(self, vocabulary: Vocabulary, examples: Sequence[Example], ecgs, questions_per_ecg: int, size: int):
        self.vocabulary, self.ecgs, self.questions_per_ecg, self.size = vocabulary, ecgs, questions_per_ecg, size
        groups: dict[tuple, list] = {}
        rendered: dict[tuple, tuple] = {}
        for example in examples:
            text = (example.task, example.history, example.question, *example.answers)
            if text not in rendered:
                ids, mask = render_turn(vocabulary, example)
                rendered[text] = (ids, [float(m) for m in mask])
            groups.setdefault((example.records, example.backgrounds), []).append(rendered[text])
        self.groups = list(groups.items())
        self.before: dict[tuple[str, ...], int] = {}
        self.set_epoch(0)

    def set_epoch(self, epoch: int) -> None:
        rng = random.Random(epoch)
        self.rows = []
        for group, (_, turns) in enumerate(self.groups):
            order = rng.sample(range(len(turns)), len(turns))
            rows = -(-len(turns) // self.questions_per_ecg)
            self.rows += [(group, order[row::rows]) for row in range(rows)]
        lengths = self.lengths()
        order = rng.sample(range(len(lengths)), len(lengths))
        whole, self.batches = self.size * STEPS_PER_BUCKET, []
        for start in range(0, len(order), whole):
            bucket = sorted(order[start : start + whole], key=lengths.__getitem__)
            self.batches += [bucket[k : k + self.size] for k in range(0, len(bucket), self.size)]
        rng.shuffle(self.batches)

    def lengths(self) -> list[int]:
        ecgs = [sum(map(self.ecgs.num_tokens, refs)) for (refs, _), _ in self.groups]
        turns = [[len(ids) for ids, _ in turns] for _, turns in self.groups]
        return [
            self.text_before(self.groups[group][0][1]) + ecgs[group] + sum(turns[group][k] for k in chosen)
            for group, chosen in self.rows
        ]

    def text_before(self, backgrounds: tuple[str, ...]) -> int:
        if backgrounds not in self.before:
            self.before[backgrounds] = len(render_ecgs(self.vocabulary, [[]] * len(backgrounds), backgrounds)[0])
        return self.before[backgrounds]

    def batch(self, i: int) -> list[Packed]:
        found = []
        for row in self.batches[i]:
            group, chosen = self.rows[row]
            (refs, backgrounds), turns = self.groups[group]
            ids = render_ecgs(self.vocabulary, [self.ecgs.ecg(ref).token_ids for ref in refs], backgrounds)[0]
            found.append(pack(ids, [turns[k] for k in chosen]))
        return found


def collate_dense(rows: Sequence[Packed], pad_id: int) -> dict[str, torch.Tensor]:
    """A batch with the boolean mask ``(B, 1, T, T)``, as made on the training thread."""
    longest = max(map(len, rows))

    def padded(name: str, fill: int, dtype: torch.dtype) -> torch.Tensor:
        return torch.tensor([[*getattr(row, name), *[fill] * (longest - len(row))] for row in rows], dtype=dtype)

    segments = padded("segments", -1, torch.long)
    sees, seen = segments[..., :, None], segments[..., None, :]
    causal = torch.ones(longest, longest, dtype=torch.bool).tril()
    mask = ((sees == seen) | (seen == 0)) & (sees >= 0) & (seen >= 0) & causal
    return {
        "input_ids": padded("ids", pad_id, torch.long),
        "position_ids": padded("positions", 0, torch.long),
        "loss_weights": padded("weights", 0, torch.float32),
        "attention_mask": (mask | torch.eye(longest, dtype=torch.bool))[:, None],
    }

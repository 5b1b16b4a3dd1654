"""Ranks candidate answers by their probability; the candidates of a question share one pass over ECG and question.

The score of an answer is the log-probability of its whole token sequence including the end token: the sum over tokens,
not their mean. It is the probability that sampling would generate exactly this answer. The end token distinguishes
"lead I" from the beginning of "lead II"; there is no other length penalty.

The candidates of a question form a tree of tokens, so that "left" is computed once for all that begin with it. The tree
follows the question in one row; each token attends to the ECG, the question and its own ancestors, and has the position
that it has in its answer (as in SpecInfer, arXiv 2305.09781). Keys and values of an ECG are therefore copied once per
question, not once per candidate.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor
from transformers import DynamicCache

from cardiolect.model.inference.generation import left_padded, positions_of, prefix_batches
from cardiolect.model.llm.ecg_language_model import LanguageModel, embedded
from cardiolect.model.llm.masks import masks_for
from cardiolect.model.prompt.rendering import Prompt, answer_text, render_answer
from cardiolect.model.prompt.vocabulary import Vocabulary

Answers = tuple[str, ...]


class Ranked(NamedTuple):
    """The most probable candidate of one prompt.

    text: as from `rendering.answer_text`. probability: among the candidates (softmax of the log-probabilities).
    log_probabilities: natural logarithms, one per candidate in the given order.
    """

    text: str
    probability: float
    log_probabilities: tuple[float, ...]


@dataclass(frozen=True)
class _Tree:
    """The distinct beginnings of token sequences. Parents come before their children; node 0 is the question.

    tokens, parents, depths: of every node except the question. edges: ``(node, next token)``. paths: the edges of each
    sequence.
    """

    tokens: list[int]
    parents: list[int]
    depths: list[int]
    edges: list[tuple[int, int]]
    paths: list[list[int]]

    @classmethod
    def of(cls, sequences: Sequence[Sequence[int]]) -> "_Tree":
        tree = cls([], [], [], [], [])
        nodes: dict[tuple[int, int], int] = {}  # (parent, token) -> node
        numbers: dict[tuple[int, int], int] = {}  # edge -> its number
        for sequence in sequences:
            node, path = 0, []
            for depth, token in enumerate(sequence):
                edge = (node, token)
                if edge not in numbers:
                    numbers[edge] = len(tree.edges)
                    tree.edges.append(edge)
                path.append(numbers[edge])
                if depth == len(sequence) - 1:
                    break  # nothing follows the end token
                if edge not in nodes:
                    tree.tokens.append(token)
                    tree.parents.append(node)
                    tree.depths.append(depth)
                    nodes[edge] = len(tree.tokens)
                node = nodes[edge]
            tree.paths.append(path)
        return tree

    def visible(self) -> Tensor:
        """Boolean ``(nodes, nodes)``: each node sees itself and its ancestors."""
        sees = torch.eye(len(self.tokens), dtype=torch.bool)
        for node, parent in enumerate(self.parents):
            if parent:
                sees[node] |= sees[parent - 1]
        return sees


@dataclass(frozen=True)
class _Part:
    """Candidates of one prompt: all of them, or as many as fit in a batch."""

    prompt: int
    prefix: int  # row of the cache
    first: int  # number of the first candidate
    tree: _Tree


@torch.inference_mode()
def rank_answers(
    model: LanguageModel,
    vocabulary: Vocabulary,
    prompts: Sequence[Prompt],
    candidates: Sequence[Sequence[Answers]],
    batch_size: int,
) -> Iterator[tuple[int, Ranked]]:
    """Yield ``(index, Ranked)`` per prompt, those with short prefixes first.

    candidates: the answers that each prompt may have; the first of equally probable ones wins. Log-probabilities are
    the same as for one full sequence at a time, up to the rounding of batched products; `Vocabulary.never_answered`
    is excluded, as in `generation.generate_texts`. A batch has at most ``batch_size`` ECGs and ``batch_size``
    candidates. Raises ValueError for a prompt without candidates.
    """
    if not all(candidates):
        raise ValueError("a prompt has no candidate answers")
    trees: dict[tuple[Answers, ...], _Tree] = {}  # shared by the questions of a template

    def tree(answers: Sequence[Answers]) -> _Tree:
        key = tuple(map(tuple, answers))
        if key not in trees:
            trees[key] = _Tree.of([render_answer(vocabulary, each) for each in key])
        return trees[key]

    for batch in prefix_batches(prompts, batch_size):
        prefixes = _Context(model)
        shared = [prompts[members[0]] for members in batch]
        ids, real = left_padded([p.prefix for p in shared], vocabulary.tokenizer.pad_token_id, model.device)
        prefixes.extend(ids, real.bool(), positions_of(real), _causal(real.bool()), 1, **embedded(shared))
        parts = [
            _Part(i, row, first, tree(candidates[i][first : first + batch_size]))
            for row, members in enumerate(batch)
            for i in members
            for first in range(0, len(candidates[i]), batch_size)
        ]
        parts.sort(key=lambda part: (len(part.tree.paths), len(part.tree.tokens)))
        scores = {i: [0.0] * len(candidates[i]) for members in batch for i in members}
        while parts:
            room = max(1, batch_size // len(parts[-1].tree.paths))
            taken, parts = parts[-room:], parts[:-room]
            for part, found in zip(taken, _score(prefixes, vocabulary, prompts, taken), strict=True):
                scores[part.prompt][part.first : part.first + len(found)] = found
        for i, found in scores.items():
            best = max(range(len(found)), key=found.__getitem__)
            probability = torch.tensor(found, dtype=torch.float64).softmax(dim=0)[best].item()
            yield i, Ranked(answer_text(candidates[i][best]), probability, tuple(found))


def _score(
    prefixes: "_Context", vocabulary: Vocabulary, prompts: Sequence[Prompt], parts: Sequence[_Part]
) -> list[list[float]]:
    """Log-probabilities of the candidates of each part, in one pass over questions and trees."""
    device, pad = prefixes.model.device, vocabulary.tokenizer.pad_token_id
    questions, asked = left_padded([prompts[part.prompt].question for part in parts], pad, device)
    nodes = max(len(part.tree.tokens) for part in parts)
    edges = max(len(part.tree.edges) for part in parts)
    length = questions.shape[1]

    tokens, depths = (torch.full((len(parts), nodes), fill) for fill in (pad, 0))
    sees = torch.eye(length + nodes, dtype=torch.bool).repeat(len(parts), 1, 1)
    sources, targets = torch.zeros(2, len(parts), edges, dtype=torch.long)
    for row, part in enumerate(parts):
        size = len(part.tree.tokens)
        tokens[row, :size] = torch.tensor(part.tree.tokens, dtype=torch.long)
        depths[row, :size] = torch.tensor(part.tree.depths, dtype=torch.long)
        sees[row, length : length + size, length : length + size] = part.tree.visible()
        pairs = torch.tensor(part.tree.edges)
        sources[row, : len(pairs)], targets[row, : len(pairs)] = pairs[:, 0], pairs[:, 1]
    sees = sees.to(device)
    sees[:, :length, :length] = _causal(asked.bool())
    sees[:, length:, :length] = asked.bool()[:, None]

    rows = prefixes.select(torch.tensor([part.prefix for part in parts], device=device))
    before = rows.real.sum(dim=1, keepdim=True)
    after = (before + asked.sum(dim=1, keepdim=True)) + depths.to(device)
    logits = rows.extend(
        torch.cat([questions, tokens.to(device)], dim=1),
        torch.cat([asked.bool(), torch.ones_like(tokens, dtype=torch.bool, device=device)], dim=1),
        torch.cat([before + positions_of(asked), after], dim=1),
        sees,
        nodes + 1,  # the end of the question, and the tree
    ).float()
    for columns in vocabulary.never_answered:
        logits[..., columns] = -torch.inf
    row = torch.arange(len(parts), device=device)[:, None]
    sources, targets = sources.to(device), targets.to(device)
    steps = (logits[row, sources, targets] - logits.logsumexp(dim=-1)[row, sources]).tolist()
    return [[sum(step[e] for e in path) for path in part.tree.paths] for part, step in zip(parts, steps, strict=True)]


class _Context:
    """The keys and values of rows of tokens, and the position of each token.

    Attention masks are built from positions, so that padding and the order of a tree do not count in sliding windows.
    real: whether a token is not padding. real, positions: ``(rows, tokens)``.
    """

    def __init__(self, model: LanguageModel) -> None:
        self.model = model
        self.cache = DynamicCache()  # keeps tokens outside a window, which another branch may still attend to
        self.real = torch.zeros(0, 0, dtype=torch.bool, device=model.device)
        self.positions = torch.zeros(0, 0, dtype=torch.long, device=model.device)

    def extend(self, ids: Tensor, real: Tensor, positions: Tensor, sees: Tensor, keep: int, **ecgs) -> Tensor:
        """Logits ``(rows, keep, vocabulary)`` of the last tokens of ``ids``, which are added to the context.

        ids, real, positions: ``(rows, new)``. sees: ``(rows, new, new)``, which new tokens each new token attends to in
        addition to all earlier ones; true on its diagonal. ecgs: from `embedded`.
        """
        earlier = self.real.reshape(len(ids), -1)
        at = torch.cat([self.positions.reshape(len(ids), -1), positions], dim=1)
        mask = torch.cat([earlier[:, None].expand(-1, ids.shape[1], -1), sees], dim=2)
        out = self.model(
            ids,
            attention_mask=masks_for(self.model, mask, positions, at),
            position_ids=positions,
            past_key_values=self.cache,
            use_cache=True,
            logits_to_keep=keep,
            **ecgs,
        )
        self.real, self.positions = torch.cat([earlier, real], dim=1), at
        return out.logits

    def select(self, rows: Tensor) -> "_Context":
        """A copy of some rows; a row may occur several times."""
        chosen = _Context(self.model)
        chosen.cache = DynamicCache([(layer.keys[rows], layer.values[rows]) for layer in self.cache.layers])
        chosen.real, chosen.positions = self.real[rows], self.positions[rows]
        return chosen


def _causal(real: Tensor) -> Tensor:
    """``(rows, tokens)`` -> ``(rows, tokens, tokens)``: real tokens up to each; padding sees itself to avoid NaN."""
    order = torch.ones(real.shape[1], real.shape[1], dtype=torch.bool, device=real.device).tril()
    return (order & real[:, None]) | torch.eye(real.shape[1], dtype=torch.bool, device=real.device)

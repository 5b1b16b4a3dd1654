"""Candidate answers scored by the model: all candidates of a question share one pass over ECG and question.

The score of an answer is the log-probability of its whole token sequence, the end token included: the sum over tokens,
not their mean. That is the probability that sampling would say exactly this answer. The end token tells "lead I" from
the beginning of "lead II"; nothing else favours or penalises long answers.

Candidates of one question are a tree of tokens ("left" is computed once for all that begin with it). It stands behind
the question in one row, where each token sees the ECG, the question and its own ancestors, at the position that it has
in its answer (as in SpecInfer, arXiv 2305.09781). So the keys and values of an ECG are copied per question, not per
candidate.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor
from transformers import DynamicCache

from cardiolect.model.inference.generation import left_padded, positions_of, prefix_batches
from cardiolect.model.llm.ecg_language_model import LanguageModel, embedded
from cardiolect.model.prompt.rendering import Prompt, answer_text, render_answer
from cardiolect.model.prompt.vocabulary import Vocabulary

Answers = tuple[str, ...]


class Ranked(NamedTuple):
    """The most probable candidate of one prompt.

    text: as `rendering.answer_text` spells it. probability: among the candidates (softmax of the log-probabilities).
    log_probabilities: natural logarithm, of every candidate in the order in which they were given.
    """

    text: str
    probability: float
    log_probabilities: tuple[float, ...]


@dataclass(frozen=True)
class _Tree:
    """The distinct beginnings of some token sequences; a parent stands before its children, 0 is the question.

    tokens, parents, depths: of every node but the question. edges: ``(node, token that follows)``. paths: the edges of
    each sequence.
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
        """Boolean ``(nodes, nodes)``: itself and its ancestors."""
        sees = torch.eye(len(self.tokens), dtype=torch.bool)
        for node, parent in enumerate(self.parents):
            if parent:
                sees[node] |= sees[parent - 1]
        return sees


@dataclass(frozen=True)
class _Part:
    """Some candidates of one prompt: all of them, or as many as fit a batch."""

    prompt: int
    prefix: int  # row of the cache
    first: int  # candidate
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

    candidates: the answer sets of each prompt; of equally probable ones the first wins. Log-probabilities are those of
    one full sequence at a time, up to the rounding of batched products; ECG tokens are excluded, as in
    `generation.generate_texts`. At most ``batch_size`` ECGs are held, and at most ``batch_size`` candidates computed,
    at once. Raises ValueError for a prompt without candidates.
    """
    if not all(candidates):
        raise ValueError("a prompt has no candidate answers")
    trees: dict[tuple[Answers, ...], _Tree] = {}  # questions of one template share theirs

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
    """Log-probability of every candidate of each part, in one pass over questions and trees."""
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
    behind = (before + asked.sum(dim=1, keepdim=True)) + depths.to(device)
    logits = rows.extend(
        torch.cat([questions, tokens.to(device)], dim=1),
        torch.cat([asked.bool(), torch.ones_like(tokens, dtype=torch.bool, device=device)], dim=1),
        torch.cat([before + positions_of(asked), behind], dim=1),
        sees,
        nodes + 1,  # the end of the question, and the tree
    ).float()
    logits[..., vocabulary.new_ids.start : vocabulary.new_ids.stop] = -torch.inf
    row = torch.arange(len(parts), device=device)[:, None]
    sources, targets = sources.to(device), targets.to(device)
    steps = (logits[row, sources, targets] - logits.logsumexp(dim=-1)[row, sources]).tolist()
    return [[sum(step[e] for e in path) for path in part.tree.paths] for part, step in zip(parts, steps, strict=True)]


class _Context:
    """What rows of tokens have left behind in a model: keys, values, and where each token stands.

    What may see what is said as a mask of real tokens and positions, so that neither padding nor the order of a tree
    counts for sliding windows. real, positions: ``(rows, tokens)``.
    """

    def __init__(self, model: LanguageModel) -> None:
        self.model = model
        self.cache = DynamicCache()  # keeps what a window no longer shows: another branch may still see it
        self.real = torch.zeros(0, 0, dtype=torch.bool, device=model.device)
        self.positions = torch.zeros(0, 0, dtype=torch.long, device=model.device)

    def extend(self, ids: Tensor, real: Tensor, positions: Tensor, sees: Tensor, keep: int, **ecgs) -> Tensor:
        """Logits ``(rows, keep, vocabulary)`` of the last tokens; sees: which of the new see which, beside all before.

        ids, real, positions: ``(rows, new)``. sees: ``(rows, new, new)``, true on its diagonal. ecgs: of `embedded`.
        """
        earlier = self.real.reshape(len(ids), -1)
        at = torch.cat([self.positions.reshape(len(ids), -1), positions], dim=1)
        mask = torch.cat([earlier[:, None].expand(-1, ids.shape[1], -1), sees], dim=2)
        out = self.model(
            ids,
            attention_mask=self._by_layer(mask, positions[:, :, None] - at[:, None]),
            position_ids=positions,
            past_key_values=self.cache,
            use_cache=True,
            logits_to_keep=keep,
            **ecgs,
        )
        self.real, self.positions = torch.cat([earlier, real], dim=1), at
        return out.logits

    def select(self, rows: Tensor) -> "_Context":
        """A copy of some rows, each as often as it is named."""
        chosen = _Context(self.model)
        chosen.cache = DynamicCache([(layer.keys[rows], layer.values[rows]) for layer in self.cache.layers])
        chosen.real, chosen.positions = self.real[rows], self.positions[rows]
        return chosen

    def _by_layer(self, mask: Tensor, distance: Tensor) -> Tensor | dict[str, Tensor]:
        """The mask as the model takes it: one, or one per kind of layer where windows are shorter than the text."""
        config = self.model.config.get_text_config()
        window = getattr(config, "sliding_window", None)
        if not window or distance.max() < window:
            return mask[:, None]
        near = (mask & (distance < window))[:, None]
        kinds = set(getattr(config, "layer_types", None) or ())
        return near if kinds <= {"sliding_attention"} else {"full_attention": mask[:, None], "sliding_attention": near}


def _causal(real: Tensor) -> Tensor:
    """``(rows, tokens)`` -> ``(rows, tokens, tokens)``: real tokens up to each; padding sees itself, lest it be NaN."""
    order = torch.ones(real.shape[1], real.shape[1], dtype=torch.bool, device=real.device).tril()
    return (order & real[:, None]) | torch.eye(real.shape[1], dtype=torch.bool, device=real.device)

"""Where the embedding rows of ECG tokens start."""

import torch
from transformers import PreTrainedModel

from cardiolect.model.prompt.vocabulary import Vocabulary


def extend_embeddings(model: PreTrainedModel, vocabulary: Vocabulary, geometry: torch.Tensor | None, seed: int) -> None:
    """Give the ECG tokens rows in embedding and head; every other row stays as it is, to the bit.

    geometry: ``(num_codes, dims)``, the codebook. A code's row is the mean text row plus its place in the codebook,
    turned by a random orthonormal map and scaled to the spread of the text rows: similar codes start similar. Without
    a geometry, rows start at random with that mean and spread.
    """
    old_rows = model.get_input_embeddings().weight.shape[0]
    needed = vocabulary.new_ids.stop
    if needed > old_rows:
        model.resize_token_embeddings(needed, mean_resizing=False)
    tables = [model.get_input_embeddings().weight]
    head = model.get_output_embeddings()
    if head is not None and head.weight is not tables[0]:
        tables.append(head.weight)
    generator = torch.Generator().manual_seed(seed)
    text_rows = vocabulary.start_id
    for table in tables:
        rows = _new_rows(table[:text_rows].detach().float().cpu(), len(vocabulary.new_ids), geometry, generator)
        with torch.no_grad():
            table[vocabulary.new_ids.start : vocabulary.new_ids.stop] = rows.to(table)


def _new_rows(
    text: torch.Tensor, count: int, geometry: torch.Tensor | None, generator: torch.Generator
) -> torch.Tensor:
    """``(count, width)`` in the order of `Vocabulary.new_ids`: start, end, codes."""
    if geometry is None:
        return text.mean(0) + text.std(0).mean() * torch.randn(count, text.shape[1], generator=generator)
    geometry = geometry.cpu()
    width, dims = text.shape[1], min(geometry.shape[1], text.shape[1])
    place = geometry - geometry.mean(0)
    if dims < geometry.shape[1]:  # a narrow model takes the principal components
        place = place @ torch.linalg.svd(place, full_matrices=False)[2][:dims].T
    turn = torch.linalg.qr(torch.randn(width, dims, generator=generator))[0].T
    codes = place @ turn
    rows = torch.cat([torch.randn(2, width, generator=generator), codes / codes.std()])
    return text.mean(0) + text.std(0).mean() * rows

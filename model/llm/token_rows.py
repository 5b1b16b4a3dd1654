"""Initial embedding rows of the ECG tokens, and the spare rows after them."""

import torch
from transformers import PreTrainedModel

from cardiolect.model.prompt.vocabulary import Vocabulary

ROW_MULTIPLE = 64  # tables of such sizes are multiplied fastest on GPUs


def extend_embeddings(
    model: PreTrainedModel,
    vocabulary: Vocabulary,
    geometry: torch.Tensor | None,
    seed: int,
    multiple: int,
    spread: float = 1.0,
) -> None:
    """Add rows for the ECG tokens to the embedding and the head; all other rows stay the same to the bit.

    geometry: ``(num_codes, dims)``, the codebook. A code's row is the mean text row plus the code's position in the
    codebook, projected by a random orthonormal map and scaled to ``spread`` times the standard deviation of text rows,
    so that similar codes start with similar rows. Without a geometry, rows are random with that mean and deviation.

    multiple: added rows go up to a multiple of it. Spare ones, which have no token, are the mean text row: their logit
    is the mean of the text logits, and therefore never the largest, whatever software generates.
    """
    old_rows = model.get_input_embeddings().weight.shape[0]
    needed = vocabulary.new_ids.stop
    if needed > old_rows:
        model.resize_token_embeddings(needed, pad_to_multiple_of=multiple, mean_resizing=False)
    tables = [model.get_input_embeddings().weight]
    head = model.get_output_embeddings()
    if head is not None and head.weight is not tables[0]:
        tables.append(head.weight)
    spare = slice(max(needed, old_rows), None)
    generator = torch.Generator().manual_seed(seed)
    text_rows = vocabulary.start_id
    for table in tables:
        rows = _new_rows(table[:text_rows].detach().float().cpu(), len(vocabulary.new_ids), geometry, generator, spread)
        with torch.no_grad():
            table[vocabulary.new_ids.start : vocabulary.new_ids.stop] = rows.to(table)
            table[spare] = table[:text_rows].float().mean(0).to(table)
    if head is not None and head.bias is not None:
        head.bias.data[spare] = head.bias.data[:text_rows].mean()


def _new_rows(
    text: torch.Tensor, count: int, geometry: torch.Tensor | None, generator: torch.Generator, spread: float
) -> torch.Tensor:
    """``(count, width)`` in the order of `Vocabulary.new_ids`: start, end, codes."""
    spread = spread * text.std(0).mean()
    if geometry is None:
        return text.mean(0) + spread * torch.randn(count, text.shape[1], generator=generator)
    geometry = geometry.cpu()
    width, dims = text.shape[1], min(geometry.shape[1], text.shape[1])
    centred = geometry - geometry.mean(0)
    if dims < geometry.shape[1]:  # a narrow model gets the principal components
        centred = centred @ torch.linalg.svd(centred, full_matrices=False)[2][:dims].T
    projection = torch.linalg.qr(torch.randn(width, dims, generator=generator))[0].T
    codes = centred @ projection
    rows = torch.cat([torch.randn(2, width, generator=generator), codes / codes.std()])
    return text.mean(0) + spread * rows

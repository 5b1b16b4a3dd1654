"""What crops go through before training: other voltages, missing leads."""

import torch

from ecg_tokenizer.settings import TokenizerSettings


def augment(
    signal: torch.Tensor,
    present: torch.Tensor,
    settings: TokenizerSettings,
    generator: torch.Generator,
    share: slice = slice(None),
) -> tuple[torch.Tensor, torch.Tensor]:
    """Scale whole crops (all leads alike: Einthoven holds) and silence single leads; returns signal and lead mask.

    signal, present: the rows ``share`` of a batch; chances are drawn for all of it.
    """
    batch = settings.batch_size
    gain = 1 + settings.gain_jitter * (2 * torch.rand(batch, 1, 1, generator=generator)[share] - 1)
    chances = torch.rand(batch, present.shape[1], generator=generator)[share]
    kept = (chances >= settings.lead_dropout).float() * present
    return signal * gain * kept[:, :, None], kept

"""ECGs and reports in one space: an ECG encoder, a text encoder, and a linear head of each."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Self

import torch
import torch.nn.functional as F
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from cardiolect.ecg_tokenizer.encoders.base import pool
from cardiolect.ecg_tokenizer.encoders.objectives.text_encoder import TextEncoder
from cardiolect.ecg_tokenizer.encoders.representation import TEXT_FOLDER, ECGEncoder
from cardiolect.utils.errors import UserError
from cardiolect.utils.weights import save_weights

HEADS, CONFIG = "heads.safetensors", "alignment.json"
MOST = 100.0  # of the factor of cosines


class Alignment(nn.Module):
    """Heads of both encoders without biases, and how steeply the loss reads cosines.

    log_factor, bias: logits are cosines times exp(log_factor), plus the bias, which only the SigLIP loss has.
    """

    def __init__(self, ecg_width: int, text_width: int, width: int, factor: float, bias: float):
        super().__init__()
        self.ecg = nn.Sequential(nn.LayerNorm(2 * ecg_width), nn.Linear(2 * ecg_width, width, bias=False))
        self.text = nn.Linear(text_width, width, bias=False)
        self.log_factor = nn.Parameter(torch.tensor(factor).log())
        self.bias = nn.Parameter(torch.tensor(bias))

    @property
    def factor(self) -> Tensor:
        return self.log_factor.exp()

    def of_ecg(self, pooled: Tensor) -> Tensor:
        """`pool` -> unit vectors ``(batch, width)``."""
        return F.normalize(self.ecg(pooled).float(), dim=1)

    def of_text(self, pooled: Tensor) -> Tensor:
        """Vectors of the text encoder -> unit vectors ``(batch, width)``."""
        return F.normalize(self.text(pooled).float(), dim=1)


class AlignedEncoders(nn.Module):
    """An ECG encoder and what was trained with it to compare ECGs and texts."""

    def __init__(self, representation: ECGEncoder, text: TextEncoder, alignment: Alignment):
        super().__init__()
        self.representation, self.text, self.alignment = representation, text, alignment

    @torch.inference_mode()
    def embed_ecg(self, signal: Tensor) -> Tensor:
        """Unit vectors ``(batch, width)`` of ECGs ``(batch, 12, samples)`` in millivolts at the encoder's rate."""
        encoder = self.representation
        return self.alignment.of_ecg(pool(encoder.encoder(encoder.scaled(signal.to(encoder.device)))))

    @torch.inference_mode()
    def embed_texts(self, texts: Sequence[str]) -> Tensor:
        """Unit vectors ``(texts, width)``."""
        parts = [texts[at : at + 64] for at in range(0, len(texts), 64)]
        return torch.cat([self.alignment.of_text(self.text(*self.text.tokens(part))) for part in parts])

    def save_pretrained(self, folder: Path) -> None:
        """Write the ECG encoder, as `ECGEncoder` does, and beneath it the text encoder and the heads."""
        self.representation.save_pretrained(folder)
        self.text.save_pretrained(folder / TEXT_FOLDER)
        save_weights(self.alignment, folder / TEXT_FOLDER / HEADS)
        config = {"width": self.alignment.text.out_features, "text_tokens": self.text.length}
        (folder / TEXT_FOLDER / CONFIG).write_text(json.dumps(config, indent=2) + "\n")

    @classmethod
    def from_pretrained(cls, folder: Path, device: str | torch.device = "cpu") -> Self:
        """Raises `UserError` if the encoder in ``folder`` was not trained with texts, or a file is damaged."""
        representation, place = ECGEncoder.from_pretrained(folder), folder / TEXT_FOLDER
        if not (place / CONFIG).is_file():
            raise UserError(f"{folder}: this encoder was not trained with texts; that takes OBJECTIVE=contrastive")
        try:
            config = json.loads((place / CONFIG).read_text())
            text = TextEncoder.load(place, config["text_tokens"])
            alignment = Alignment(representation.embedding_width, text.width, config["width"], factor=1.0, bias=0.0)
            alignment.load_state_dict(load_file(place / HEADS))
        except (OSError, ValueError, KeyError, TypeError, RuntimeError, SafetensorError) as error:
            reason = " ".join(str(error).split())[:200]
            raise UserError(f"{place}: its text encoder and heads cannot be loaded ({reason})") from None
        return cls(representation, text, alignment).eval().requires_grad_(False).to(device)

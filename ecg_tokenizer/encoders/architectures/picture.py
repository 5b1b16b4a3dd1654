"""General vision encoders (ViT, CLIP, SigLIP), which are shown a picture of the whole ECG.

In ECG-Bench, CLIP's processor crops the picture to its middle, which loses five of twelve leads. Here the ECG is drawn
in the size that the model takes, all leads one below the other: nothing is resized or cropped, and a token's column
tells its time.
"""

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
import transformers
from torch import Tensor, nn
from transformers import AutoConfig, PreTrainedModel

from cardiolect.ecg_tokenizer.encoders.base import LEADS_IN, MV_SCALE, SignalEncoder
from cardiolect.ecg_tokenizer.encoders.pretrained import load_pretrained
from cardiolect.utils.errors import UserError

ROW_MV = 2.5  # height of a lead's row; larger deflections run into the next rows
LINE = 1.0  # pixels


@dataclass(frozen=True)
class Kind:
    """A vision model of transformers: its class, whether a summary precedes the patches, and statistics of pixels."""

    model: str
    summary: bool
    mean: tuple[float, float, float]
    deviation: tuple[float, float, float]


_HALF = (0.5, 0.5, 0.5)
_OF_CLIP = (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)
KINDS = {
    "vit": Kind("ViTModel", True, _HALF, _HALF),
    "clip_vision_model": Kind("CLIPVisionModel", True, *_OF_CLIP),
    "siglip_vision_model": Kind("SiglipVisionModel", False, _HALF, _HALF),
}
_TOWERS = {"clip": "clip_vision_model", "siglip": "siglip_vision_model"}  # models of pictures and texts


class PictureEncoder(SignalEncoder):
    """A vision model; its tokens are those of the patches, row by row."""

    def __init__(self, described: str):
        """described: the JSON of the model's configuration; weights are random."""
        super().__init__()
        values = json.loads(described)
        kind = KINDS[values["model_type"]]
        model_class = getattr(transformers, kind.model)
        self.model: PreTrainedModel = model_class(model_class.config_class(**values))
        self.width, self.summary = self.model.config.hidden_size, kind.summary
        self.size, patch = self.model.config.image_size, self.model.config.patch_size
        self.columns = self.size // patch
        self.drawn = self.columns * patch  # models do not see what is left of a patch
        self.register_buffer("mean", torch.tensor(kind.mean)[:, None, None], persistent=False)
        self.register_buffer("deviation", torch.tensor(kind.deviation)[:, None, None], persistent=False)

    @property
    def blocks(self) -> nn.ModuleList:
        """The layers of the transformer."""
        return next(module for module in self.model.modules() if isinstance(module, nn.ModuleList))

    def forward(self, signal: Tensor) -> Tensor:
        """signal: millivolts times `MV_SCALE`."""
        white = self.size - self.drawn
        pixels = F.pad(draw(signal / MV_SCALE, self.drawn), (0, white, 0, white), value=1.0)[:, None]
        found = self.model(pixel_values=(pixels - self.mean) / self.deviation).last_hidden_state
        return found[:, 1:] if self.summary else found

    def spans(self, samples: int) -> np.ndarray:
        edges = np.linspace(0, samples, self.columns + 1)
        return np.tile(np.stack([edges[:-1], edges[1:]], axis=1), (self.columns, 1))


def describe(folder: Path) -> str:
    """The JSON of the vision model in ``folder``; of a model of pictures and texts, that of its vision model.

    Raises `UserError` if it is another kind of model, or takes other than square pictures.
    """
    try:
        config = AutoConfig.from_pretrained(folder, local_files_only=True)
    except (OSError, ValueError, KeyError) as error:
        raise UserError(f"VISION_ENCODER: {folder} holds no model ({' '.join(str(error).split())[:200]})") from None
    if config.model_type in _TOWERS:
        config = config.vision_config
    if config.model_type in KINDS and not isinstance(config.image_size, int):
        raise UserError(f"VISION_ENCODER: {folder} takes pictures of {config.image_size} pixels, which are not square")
    if config.model_type not in KINDS:
        names = "ViT, CLIP or SigLIP"
        raise UserError(f"VISION_ENCODER: {folder} holds a {config.model_type} model; it can be {names}")
    return config.to_json_string(use_diff=False)


def load_weights(encoder: "PictureEncoder", folder: Path) -> None:
    """Give the encoder the weights in ``folder``. Raises `UserError` as `load_pretrained` does."""
    encoder.model.load_state_dict(load_pretrained(type(encoder.model), folder, "VISION_ENCODER").state_dict())


def draw(signal: Tensor, size: int) -> Tensor:
    """Pictures ``(batch, size, size)``, 0 black to 1 white, of ECGs ``(batch, 12, samples)`` in millivolts.

    Each lead has a row; time runs from the left edge to the right one, whatever the duration.
    """
    height = size / LEADS_IN
    middle = (torch.arange(LEADS_IN, device=signal.device) + 0.5) * height
    y = middle[:, None] - signal.float() * (height / ROW_MV)  # downwards
    low, high = -F.adaptive_max_pool1d(-y, size), F.adaptive_max_pool1d(y, size)
    before = F.pad(low[..., :-1], (1, 0), "replicate"), F.pad(high[..., :-1], (1, 0), "replicate")
    low, high = torch.minimum(low, before[1]), torch.maximum(high, before[0])  # so that the line has no gaps
    rows = torch.arange(size, device=signal.device).view(1, 1, -1, 1) + 0.5
    inked = torch.zeros(len(signal), size, size, device=signal.device)
    for lead in range(LEADS_IN):
        top, bottom = low[:, lead, None] - LINE / 2, high[:, lead, None] + LINE / 2
        covered = torch.minimum(bottom, rows[0] + 0.5) - torch.maximum(top, rows[0] - 0.5)
        inked = torch.maximum(inked, covered.clamp(0, 1))
    return 1 - inked

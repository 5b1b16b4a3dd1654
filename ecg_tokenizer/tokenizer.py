"""`ECGTokenizer`: millivolts to codes and back, for any length and any sampling rate."""

import hashlib
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Self

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from data_provider.record import LEADS
from data_provider.resample import resample
from ecg_tokenizer.backbone import Decoder, Encoder
from ecg_tokenizer.config import TokenizerConfig
from ecg_tokenizer.fidelity.distortion import code_use
from ecg_tokenizer.quantizers import build_quantizer
from utils.errors import UserError


class ECGTokenizer(nn.Module):
    """A VQ autoencoder of 12-lead ECGs: one code per codebook for every ``stride`` samples of all leads.

    Codes are flat: frame by frame, within a frame codebook by codebook, those of codebook ``q`` from
    ``q * codebook_size`` on; with one codebook (fsq, vq) that is one code per frame.
    Codes are always computed in float32, whatever the language model runs in: stored and live codes agree.
    """

    def __init__(self, config: TokenizerConfig):
        super().__init__()
        self.config = config
        self.encoder = Encoder(len(LEADS), config.stride, config.hidden, config.encoder_depth)
        self.quantizer = build_quantizer(config)
        self.decoder = Decoder(len(LEADS), config.stride, config.hidden, config.decoder_depth)

    @property
    def codebook_size(self) -> int:
        """Codes of each codebook."""
        return self.quantizer.codebook_size

    @property
    def num_codebooks(self) -> int:
        """Codes per frame."""
        return self.quantizer.num_codebooks

    @property
    def vocabulary_size(self) -> int:
        """Different codes there are: ``num_codebooks * codebook_size``."""
        return self.num_codebooks * self.codebook_size

    @property
    def frame_rate(self) -> float:
        """Frames per second of ECG."""
        return self.config.sampling_rate / self.config.stride

    @property
    def token_rate(self) -> float:
        """Codes per second of ECG."""
        return self.frame_rate * self.num_codebooks

    def tokens_in(self, seconds: float) -> int:
        """Codes of an ECG that long: whole frames, the last one padded."""
        return math.ceil(round(seconds * self.config.sampling_rate) / self.config.stride) * self.num_codebooks

    def forward(self, signal: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Millivolts ``(batch, 12, frames * stride)`` -> reconstruction of that shape, codes, quantizer loss."""
        quantized, codes, loss = self.quantize(signal)
        return self.reconstruct(quantized), codes, loss

    def quantize(self, signal: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Millivolts ``(batch, 12, frames * stride)`` -> quantized features, codes, quantizer loss."""
        return self.quantizer(self.encoder(signal * self.config.input_scale))

    def reconstruct(self, quantized: Tensor) -> Tensor:
        """Quantized features ``(batch, frames, width)`` -> millivolts ``(batch, 12, frames * stride)``."""
        return self.decoder(quantized) / self.config.input_scale

    @torch.inference_mode()
    def encode(self, signal: np.ndarray, fs: float) -> np.ndarray:
        """Codes of one ECG.

        signal: ``(12, T)`` millivolts in the order of `data_provider.record.LEADS`; silenced leads are 0.
        fs: its sampling rate in Hz; resampled with an anti-alias filter where the tokenizer works at another.
        Returns int64 ``(ceil(T' / stride) * num_codebooks,)``, T' samples at the tokenizer's rate; the tail is padded
        with its last value. Raises `UserError` on a wrong shape or on values that are not finite.
        """
        signal = np.asarray(signal, dtype=np.float32)
        if signal.ndim != 2 or signal.shape[0] != len(LEADS) or signal.shape[1] == 0:
            raise UserError(f"an ECG to encode must have shape (12, samples), not {signal.shape}")
        if not np.isfinite(signal).all():
            raise UserError(
                "an ECG to encode has NaN or infinite samples; data_provider.read_record mends or masks them"
            )
        return self.encode_batch([resample(signal, fs, self.config.sampling_rate)])[0]

    @torch.inference_mode()
    def encode_batch(self, signals: list[np.ndarray]) -> list[np.ndarray]:
        """Codes of several ECGs already at the tokenizer's rate; only equal lengths share a forward pass."""
        stride = self.config.stride
        padded = [np.pad(s, ((0, 0), (0, -s.shape[1] % stride)), mode="edge") for s in signals]
        codes: list[np.ndarray | None] = [None] * len(padded)
        for length in {s.shape[1] for s in padded}:
            rows = [i for i, s in enumerate(padded) if s.shape[1] == length]
            batch = torch.from_numpy(np.stack([padded[i] for i in rows])).to(self.device)
            with torch.autocast(self.device.type, enabled=False):
                _, found, _ = self.quantize(batch.float())
            for i, row in zip(rows, found.cpu().numpy(), strict=True):
                codes[i] = row
        return codes

    @torch.inference_mode()
    def decode(self, codes: np.ndarray) -> np.ndarray:
        """Codes ``(frames * num_codebooks,)`` -> mV float32 ``(12, frames * stride)`` at the tokenizer's rate."""
        codes = np.asarray(codes, dtype=np.int64)
        if codes.ndim != 1 or codes.size == 0 or codes.size % self.num_codebooks:
            per_frame = f" * {self.num_codebooks}" if self.num_codebooks > 1 else ""
            raise UserError(f"codes to decode must have shape (frames{per_frame},), not {codes.shape}")
        if codes.min() < 0 or codes.max() >= self.vocabulary_size:
            raise UserError(f"codes to decode must lie within 0..{self.vocabulary_size - 1}")
        if (codes.reshape(-1, self.num_codebooks) // self.codebook_size != np.arange(self.num_codebooks)).any():
            raise UserError(f"codes to decode must keep the order of the {self.num_codebooks} codebooks in every frame")
        features = self.quantizer.lookup(torch.from_numpy(codes).to(self.device)[None])
        return self.reconstruct(features)[0].float().cpu().numpy()

    @property
    def device(self) -> torch.device:
        return next(self.parameters()).device

    def code_use(self, codes: Sequence[np.ndarray]) -> dict[str, float]:
        """`fidelity.distortion.code_use` of several ECGs' codes."""
        return code_use(np.concatenate([c.ravel() for c in codes]), self.codebook_size, self.num_codebooks)

    @torch.inference_mode()
    def code_geometry(self, waveform_dims: int = 28) -> Tensor:
        """``(vocabulary_size, dims)``: where each code lies; neighbours decode to similar ECGs.

        The code's place in the quantized space, and the principal components of the waveform that the decoder draws for
        the code among copies of itself; both parts have the same total variance.
        """
        stride, frames = self.config.stride, self.quantizer.vectors()[:, None].expand(-1, 5, -1)
        drawn = self.decoder(frames)[..., 2 * stride : 3 * stride].flatten(1)
        left, scale, _ = torch.linalg.svd(drawn - drawn.mean(0), full_matrices=False)
        waveform = (left * scale)[:, :waveform_dims]
        place = self.quantizer.geometry().to(waveform)
        place = (place - place.mean(0)) / (place.std(0) + 1e-6)
        return torch.cat([place, waveform * (place.var(0).sum() / waveform.var(0).sum()).sqrt()], dim=1).clone()

    def fingerprint(self) -> str:
        """Short hash of architecture and weights: equal fingerprints give equal codes."""
        digest = hashlib.sha256(repr(self.config).encode())
        for name, value in sorted(self.state_dict().items()):
            digest.update(name.encode())
            digest.update(value.detach().cpu().contiguous().numpy().tobytes())
        return digest.hexdigest()[:16]

    def save_pretrained(self, folder: Path | str) -> None:
        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        save_file(
            {k: v.detach().cpu().contiguous() for k, v in self.state_dict().items()}, folder / "model.safetensors"
        )
        self.config.save(folder / "config.json")

    @classmethod
    def from_pretrained(cls, folder: Path | str, device: str | torch.device = "cpu") -> Self:
        """Load what `save_pretrained` wrote, ready to encode. Raises `UserError` where it is missing or misfits."""
        folder = Path(folder)
        if (folder / "ecg_tokenizer").is_dir():
            raise UserError(f"{folder}: a checkpoint of a language model; its ECG tokenizer is {folder}/ecg_tokenizer")
        for name in ("config.json", "model.safetensors"):
            if not (folder / name).is_file():
                raise UserError(f"{folder}: no ECG tokenizer here ({name} is missing); train one with run_tokenizer.sh")
        tokenizer = cls(TokenizerConfig.load(folder / "config.json"))
        try:
            tokenizer.load_state_dict(load_file(folder / "model.safetensors"))
        except (RuntimeError, OSError, SafetensorError) as error:
            raise UserError(
                f"{folder}/model.safetensors does not fit its config.json: {error}".splitlines()[0]
            ) from None
        return tokenizer.eval().requires_grad_(False).to(device)

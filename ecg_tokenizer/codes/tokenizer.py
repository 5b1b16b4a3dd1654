"""`ECGTokenizer`: millivolts to codes and back, for any length and any sampling rate."""

import hashlib
import math
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple, Self

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from cardiolect.data_provider.record import LEADS, resample
from cardiolect.ecg_tokenizer.base import ECGRepresentation, check_signal
from cardiolect.ecg_tokenizer.codes.backbone import Decoder, Encoder
from cardiolect.ecg_tokenizer.codes.coarse import CoarseCoder
from cardiolect.ecg_tokenizer.codes.config import TokenizerConfig
from cardiolect.ecg_tokenizer.codes.quantizers import build_quantizer
from cardiolect.ecg_tokenizer.codes.usage import code_use
from cardiolect.utils.errors import UserError


class Quantized(NamedTuple):
    """An ECG as codes, and what the codes stand for."""

    features: Tensor  # (batch, frames, width), of the frames' codes
    slow: Tensor | None  # (batch, 12, frames * stride) in scaled millivolts, drawn by coarse codes
    codes: Tensor  # (batch, layout.codes_in(frames))
    loss: Tensor  # of the quantizers


class ECGTokenizer(nn.Module, ECGRepresentation):
    """A VQ autoencoder of 12-lead ECGs: codes for every frame, ``stride`` samples of all leads.

    Codes are flat, in the order of `CodeLayout`: with one codebook (fsq, vq) one code per frame, and with coarse codes
    one of them before every ``coarse_frames`` frames. Codes are always computed in float32, whatever the language model
    runs in: stored and live codes agree.
    """

    name = "codes"
    decodes = True

    def __init__(self, config: TokenizerConfig):
        super().__init__()
        self.config = config
        self.encoder = Encoder(len(LEADS), config.stride, config.hidden, config.encoder_depth)
        self.quantizer = build_quantizer(config)
        self.coarse = None
        if config.coarse_frames:
            self.coarse = CoarseCoder(len(LEADS), config.coarse_frames * config.stride, config.coarse_levels)
        self.layout = config.layout
        self.decoder = Decoder(len(LEADS), config.stride, config.hidden, config.decoder_depth)

    @property
    def codebook_size(self) -> int:
        """Codes of each codebook of the frames."""
        return self.layout.codebook_size

    @property
    def num_codebooks(self) -> int:
        """Codes per frame, coarse ones aside."""
        return self.layout.num_codebooks

    @property
    def vocabulary_size(self) -> int:
        """Different codes there are."""
        return self.layout.vocabulary_size

    @property
    def sampling_rate(self) -> float:
        """Hz at which the tokenizer works."""
        return self.config.sampling_rate

    @property
    def group(self) -> int:
        """Codes that belong together: of a frame, or a coarse code and those of its frames."""
        return self.layout.group

    @property
    def frame_rate(self) -> float:
        """Frames per second of ECG."""
        return self.config.sampling_rate / self.config.stride

    @property
    def token_rate(self) -> float:
        """Codes per second of ECG."""
        per_frame = self.layout.num_codebooks
        if self.config.coarse_frames:
            per_frame += 1 / self.config.coarse_frames
        return self.frame_rate * per_frame

    @property
    def bits_per_second(self) -> float:
        """Bits of its codes per second of ECG, all codes of a codebook taken as equally likely."""
        bits = self.layout.num_codebooks * math.log2(self.layout.codebook_size)
        if self.config.coarse_frames:
            bits += math.log2(self.layout.coarse_codebook_size) / self.config.coarse_frames
        return self.frame_rate * bits

    def tokens_in(self, seconds: float) -> int:
        """Codes of an ECG that long: whole frames, the last one padded."""
        return self.layout.codes_in(math.ceil(round(seconds * self.config.sampling_rate) / self.config.stride))

    def bits(self, item: np.ndarray) -> float:
        """Bits of the codes of an ECG, all codes of a codebook taken as equally likely."""
        coarse = self.layout.is_coarse(len(item))
        bits = (~coarse).sum() * math.log2(self.layout.codebook_size)
        return float(bits + coarse.sum() * math.log2(self.layout.coarse_codebook_size or 1))

    def code_times(self, n_codes: int) -> np.ndarray:
        """float64 ``(n_codes, 2)``: start and end, in seconds of the ECG, of what each of its codes stands for.

        A coarse code spans its frames, those that are there. The last frame may reach beyond the ECG's end: its tail is
        padded. Raises `UserError` where so many codes are no whole frames.
        """
        frames = self.layout.frames_of(n_codes)
        if n_codes < 1 or self.layout.codes_in(int(frames[-1, 1])) != n_codes:
            raise UserError(f"{n_codes} codes are no whole frames of this tokenizer, {self.layout.group} to a group")
        return frames * self.config.stride / self.config.sampling_rate

    def forward(self, signal: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Millivolts ``(batch, 12, frames * stride)`` -> reconstruction of that shape, codes, quantizer loss."""
        quantized = self.quantize(signal)
        return self.reconstruct(quantized.features, quantized.slow), quantized.codes, quantized.loss

    def quantize(self, signal: Tensor) -> Quantized:
        """Codes of millivolts ``(batch, 12, frames * stride)``, and what they stand for."""
        signal = signal * self.config.input_scale
        if self.coarse is None:
            features, codes, loss = self.quantizer(self.encoder(signal))
            return Quantized(features, None, codes, loss)
        slow, coarse, coarse_loss = self.coarse(signal)
        features, codes, loss = self.quantizer(self.encoder(signal - slow))
        return Quantized(features, slow, self.layout.join(codes, coarse), loss + coarse_loss)

    def reconstruct(self, features: Tensor, slow: Tensor | None) -> Tensor:
        """Parts of `Quantized` -> millivolts ``(batch, 12, frames * stride)``."""
        signal = self.decoder(features)
        return (signal if slow is None else signal + slow) / self.config.input_scale

    @torch.inference_mode()
    def encode(self, signal: np.ndarray, fs: float) -> np.ndarray:
        """Codes of one ECG.

        signal: ``(12, T)`` millivolts in the order of `data_provider.record.LEADS`; silenced leads are 0.
        fs: its sampling rate in Hz; resampled with an anti-alias filter where the tokenizer works at another.
        Returns int64 ``(layout.codes_in(ceil(T' / stride)),)``, T' samples at the tokenizer's rate; the tail is padded
        with its last value. Frames and groups are counted from the first sample: crops that begin at a multiple of
        ``stride * max(1, coarse_frames)`` samples have the codes of the whole record, away from their edges. Raises
        `UserError` on a wrong shape or on values that are not finite.
        """
        return self.encode_batch([resample(check_signal(signal), fs, self.sampling_rate)])[0]

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
                found = self.quantize(batch.float()).codes
            for i, row in zip(rows, found.cpu().numpy(), strict=True):
                codes[i] = row
        return codes

    def _prepare(self, signals: list[np.ndarray]) -> list[np.ndarray]:
        """Codes uint16 ``(codes,)`` of each signal, in the order of `encode`."""
        return [codes.astype(np.uint16) for codes in self.encode_batch(signals)]

    def times(self, item: np.ndarray) -> np.ndarray:
        return self.code_times(len(item))

    def geometry(self) -> Tensor:
        return self.code_geometry()

    @torch.inference_mode()
    def decode(self, codes: np.ndarray) -> np.ndarray:
        """Codes of whole frames -> mV float32 ``(12, frames * stride)`` at the tokenizer's rate.

        codes: ``(layout.codes_in(frames),)``, as `encode` returns them. Raises `UserError` on others.
        """
        codes = np.asarray(codes, dtype=np.int64)
        if codes.ndim != 1 or codes.size == 0:
            raise UserError(f"codes to decode must have shape (codes,), not {codes.shape}")
        if codes.min() < 0 or codes.max() >= self.vocabulary_size:
            raise UserError(f"codes to decode must lie within 0..{self.vocabulary_size - 1}")
        if not self.layout.fits(codes):
            raise UserError(
                f"codes to decode must be whole frames in the order of encoding, {self.layout.group} to a group; "
                "cut codes at multiples of that"
            )
        frames, coarse = self.layout.split(torch.from_numpy(codes).to(self.device)[None])
        features = self.quantizer.lookup(frames)
        slow = None
        if self.coarse is not None:
            slow = self.coarse.lookup(coarse, features.shape[1] * self.config.stride)
        return self.reconstruct(features, slow)[0].float().cpu().numpy()

    @property
    def device(self) -> torch.device:
        return next(self.parameters()).device

    def code_use(self, codes: Sequence[np.ndarray]) -> dict:
        """`usage.code_use` of several ECGs' codes."""
        return code_use(np.concatenate([c.ravel() for c in codes]), self.layout.sizes)

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
        frames = _place_and_drawn(self.quantizer.geometry(), waveform)
        if self.coarse is None:
            return frames
        # Dimensions of their own, and one that says which kind a code is of.
        coarse = _place_and_drawn(self.coarse.quantizer.geometry(), self.coarse.vectors())
        kind = torch.ones(len(frames) + len(coarse), 1, device=frames.device)
        kind[: len(frames)] = -1
        return torch.cat([kind, torch.block_diag(frames, coarse)], dim=1)

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
            what = " ".join(str(error).split())[:200]
            raise UserError(f"{folder}/model.safetensors does not fit its config.json: {what}") from None
        return tokenizer.eval().requires_grad_(False).to(device)


def _place_and_drawn(place: Tensor, drawn: Tensor) -> Tensor:
    """Two views of a codebook side by side, each with the same total variance."""
    place = (place - place.mean(0)) / (place.std(0) + 1e-6)
    return torch.cat([place.to(drawn), drawn * (place.var(0).sum() / drawn.var(0).sum()).sqrt()], dim=1).clone()

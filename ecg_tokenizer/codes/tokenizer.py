"""`ECGTokenizer`: millivolts to codes and back, for any length and any sampling rate."""

import hashlib
import math
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple, Self

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from cardiolect.data_provider.record import LEADS
from cardiolect.ecg_tokenizer.base import ECGRepresentation
from cardiolect.ecg_tokenizer.codes.backbone import Decoder, Encoder
from cardiolect.ecg_tokenizer.codes.coarse import CoarseCoder
from cardiolect.ecg_tokenizer.codes.config import TokenizerConfig
from cardiolect.ecg_tokenizer.codes.light import LightDecoder, LightEncoder
from cardiolect.ecg_tokenizer.codes.quantizers import build_quantizer
from cardiolect.ecg_tokenizer.codes.search import search
from cardiolect.ecg_tokenizer.codes.usage import code_use
from cardiolect.ecg_tokenizer.exact import full_float32
from cardiolect.utils.errors import UserError
from cardiolect.utils.weights import save_weights


class Quantized(NamedTuple):
    """The codes of an ECG, and the features and slow waves that they decode to."""

    features: Tensor  # (batch, frames, width), from the codes of the frames
    slow: Tensor | None  # (batch, 12, frames * stride) in scaled millivolts, from coarse codes
    codes: Tensor  # (batch, layout.codes_in(frames))
    loss: Tensor  # of the quantizers


class ECGTokenizer(nn.Module, ECGRepresentation):
    """A VQ autoencoder of 12-lead ECGs, with codes for every frame of ``stride`` samples of all leads.

    Codes are flat, in the order of `CodeLayout`: one code per frame with one codebook (fsq, vq), and with coarse codes
    one of these before every ``coarse_frames`` frames. Codes are always computed in full float32, whatever
    the precision of the language model and whether TF32 is allowed, so that cached codes and those computed at
    inference agree.
    """

    name = "codes"
    fewer_tokens = "a longer STRIDE_MS, fewer NUM_CODEBOOKS"
    decodes = True

    def __init__(self, config: TokenizerConfig):
        super().__init__()
        self.config = config
        light = config.backbone == "light"
        encoder, decoder = (LightEncoder, LightDecoder) if light else (Encoder, Decoder)
        self.encoder = encoder(len(LEADS), config.stride, config.hidden, config.encoder_depth)
        self.quantizer = build_quantizer(config)
        self.coarse = None
        if config.coarse_frames:
            self.coarse = CoarseCoder(len(LEADS), config.coarse_frames * config.stride, config.coarse_levels)
        self.layout = config.layout
        self.decoder = decoder(len(LEADS), config.stride, config.hidden, config.decoder_depth)

    @property
    def codebook_size(self) -> int:
        """Number of codes in each codebook of the frames."""
        return self.layout.codebook_size

    @property
    def num_codebooks(self) -> int:
        """Codes per frame, without coarse codes."""
        return self.layout.num_codebooks

    @property
    def vocabulary_size(self) -> int:
        """Number of different codes."""
        return self.layout.vocabulary_size

    @property
    def sampling_rate(self) -> float:
        """Hz at which the tokenizer works."""
        return self.config.sampling_rate

    @property
    def group(self) -> int:
        """Number of codes that belong together: those of a frame, or a coarse code and those of its frames."""
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
        """Bits per second of ECG, if all codes of a codebook are equally likely."""
        bits = self.layout.num_codebooks * math.log2(self.layout.codebook_size)
        if self.config.coarse_frames:
            bits += math.log2(self.layout.coarse_codebook_size) / self.config.coarse_frames
        return self.frame_rate * bits

    def tokens_in(self, seconds: float) -> int:
        """Number of codes of an ECG of this length: whole frames, the last one padded."""
        return self.layout.codes_in(math.ceil(round(seconds * self.config.sampling_rate) / self.config.stride))

    def bits(self, item: np.ndarray) -> float:
        """Bits of the codes of an ECG, if all codes of a codebook are equally likely."""
        coarse = self.layout.is_coarse(len(item))
        bits = (~coarse).sum() * math.log2(self.layout.codebook_size)
        return float(bits + coarse.sum() * math.log2(self.layout.coarse_codebook_size or 1))

    def code_times(self, n_codes: int) -> np.ndarray:
        """float64 ``(n_codes, 2)``: start and end of each code in seconds of the ECG.

        A coarse code spans its frames. The last frame may extend beyond the end of the ECG, because the tail is padded.
        Raises `UserError` if ``n_codes`` codes do not form whole frames.
        """
        frames = self.layout.frames_of(n_codes)
        if n_codes < 1 or self.layout.codes_in(int(frames[-1, 1])) != n_codes:
            raise UserError(f"{n_codes} codes do not form whole frames (groups of {self.layout.group})")
        return frames * self.config.stride / self.config.sampling_rate

    def forward(self, signal: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Millivolts ``(batch, 12, frames * stride)`` -> reconstruction of the same shape, codes, quantizer loss."""
        quantized = self.quantize(signal)
        return self.reconstruct(quantized.features, quantized.slow), quantized.codes, quantized.loss

    def quantize(self, signal: Tensor) -> Quantized:
        """Quantize millivolts ``(batch, 12, frames * stride)``."""
        signal = signal * self.config.input_scale
        if self.coarse is None:
            features, codes, loss = self.quantizer(self.encoder(signal))
            return Quantized(features, None, codes, loss)
        slow, coarse, coarse_loss = self.coarse(signal)
        features, codes, loss = self.quantizer(self.encoder(signal - slow))
        return Quantized(features, slow, self.layout.join(codes, coarse), loss + coarse_loss)

    def reconstruct(self, features: Tensor, slow: Tensor | None) -> Tensor:
        """Features and slow waves of `Quantized` -> millivolts ``(batch, 12, frames * stride)``."""
        signal = self.decoder(features)
        return (signal if slow is None else signal + slow) / self.config.input_scale

    @torch.inference_mode()
    def encode(self, signal: np.ndarray, fs: float) -> np.ndarray:
        """Codes of one ECG.

        signal: ``(12, T)`` millivolts in the order of `data_provider.record.LEADS`; silenced leads are 0.
        fs: its sampling rate in Hz; resampled with an anti-alias filter if the tokenizer uses another rate.
        Returns int64 ``(layout.codes_in(ceil(T' / stride)),)``, T' samples at the tokenizer's rate; the tail is padded
        with its last value. Frames and groups are counted from the first sample: away from its edges, a crop that
        begins at a multiple of ``stride * max(1, coarse_frames)`` samples has the codes of the whole recording, except
        that each lead's median is that of the crop, and that ``search_rounds`` lets codes depend on more distant ones.
        Raises `UserError` if the shape is wrong or a value is not finite.
        """
        return self.prepare([signal], fs)[0].astype(np.int64)

    @torch.inference_mode()
    def encode_batch(self, signals: list[np.ndarray]) -> list[np.ndarray]:
        """Codes of ECGs at the tokenizer's rate, without offsets; only those of equal length share a forward pass."""
        stride = self.config.stride
        padded = [np.pad(s, ((0, 0), (0, rest)), mode="edge") if (rest := -s.shape[1] % stride) else s for s in signals]
        codes: list[np.ndarray | None] = [None] * len(padded)
        for length in {s.shape[1] for s in padded}:
            rows = [i for i, s in enumerate(padded) if s.shape[1] == length]
            batch = torch.from_numpy(np.stack([padded[i] for i in rows])).to(self.device)
            with full_float32(self.device.type):
                found = self._codes(batch.float())
            for i, row in zip(rows, found.cpu().numpy(), strict=True):
                codes[i] = row
        return codes

    def _codes(self, signals: Tensor) -> Tensor:
        """Codes of millivolts ``(batch, 12, frames * stride)``, after the search if the configuration asks for one."""
        quantized = self.quantize(signals)
        if not self.config.search_rounds:
            return quantized.codes
        found = []
        for i, codes in enumerate(quantized.codes):
            frames, coarse = self.layout.split(codes[None])
            slow = 0 if quantized.slow is None else quantized.slow[i]
            better = search(
                self.quantizer,
                lambda features, slow=slow: self.decoder(features) + slow,
                signals[i] * self.config.input_scale,
                frames[0],
                self.config.search_rounds,
            )
            found.append(self.layout.join(better[None], coarse)[0])
        return torch.stack(found)

    def _prepare(self, signals: list[np.ndarray]) -> list[np.ndarray]:
        """uint16 codes ``(codes,)`` of each signal, in the same order as from `encode`."""
        return [codes.astype(np.uint16) for codes in self.encode_batch(signals)]

    def times(self, item: np.ndarray) -> np.ndarray:
        return self.code_times(len(item))

    def geometry(self) -> Tensor:
        return self.code_geometry()

    @torch.inference_mode()
    def decode(self, codes: np.ndarray) -> np.ndarray:
        """Codes of whole frames -> mV float32 ``(12, frames * stride)`` at the tokenizer's rate.

        codes: ``(layout.codes_in(frames),)``, as returned by `encode`. Raises `UserError` for any others.
        """
        codes = np.asarray(codes, dtype=np.int64)
        if codes.ndim != 1 or codes.size == 0:
            raise UserError(f"codes to decode must have shape (codes,), not {codes.shape}")
        if codes.min() < 0 or codes.max() >= self.vocabulary_size:
            raise UserError(f"codes to decode must lie within 0..{self.vocabulary_size - 1}")
        if not self.layout.fits(codes):
            raise UserError(
                f"codes to decode must be whole frames in the order of encoding (groups of {self.layout.group}); "
                "cut codes at multiples of a group"
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
        """`usage.code_use` of the codes of several ECGs."""
        return code_use(np.concatenate([c.ravel() for c in codes]), self.layout.sizes)

    @torch.inference_mode()
    def code_geometry(self, waveform_dims: int = 28) -> Tensor:
        """``(vocabulary_size, dims)``: position of each code; neighbouring codes decode to similar ECGs.

        It combines the position in the quantized space with the principal components of the waveform that the code
        decodes to when surrounded by copies of itself; both parts have the same total variance.
        """
        stride, frames = self.config.stride, self.quantizer.vectors()[:, None].expand(-1, 5, -1)
        decoded = self.decoder(frames)[..., 2 * stride : 3 * stride].flatten(1)
        left, scale, _ = torch.linalg.svd(decoded - decoded.mean(0), full_matrices=False)
        waveform = (left * scale)[:, :waveform_dims]
        frames = _side_by_side(self.quantizer.geometry(), waveform)
        if self.coarse is None:
            return frames
        # Coarse codes have their own dimensions, and one more dimension separates the two kinds.
        coarse = _side_by_side(self.coarse.quantizer.geometry(), self.coarse.vectors())
        kind = torch.ones(len(frames) + len(coarse), 1, device=frames.device)
        kind[: len(frames)] = -1
        return torch.cat([kind, torch.block_diag(frames, coarse)], dim=1)

    def fingerprint(self) -> str:
        """Short hash of architecture and weights: equal fingerprints give equal codes."""
        digest = hashlib.sha256(str(self.config).encode())
        for name, value in sorted(self.state_dict().items()):
            digest.update(name.encode())
            digest.update(value.detach().cpu().contiguous().numpy().tobytes())
        return digest.hexdigest()[:16]

    def save_pretrained(self, folder: Path | str) -> None:
        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        save_weights(self, folder / "model.safetensors")
        self.config.save(folder / "config.json")

    @classmethod
    def from_pretrained(cls, folder: Path | str, device: str | torch.device = "cpu") -> Self:
        """Load a saved tokenizer, ready to encode. Raises `UserError` if files are missing or do not match."""
        folder = Path(folder)
        if (folder / "ecg_tokenizer").is_dir():
            raise UserError(f"{folder}: a checkpoint of a language model; its ECG tokenizer is {folder}/ecg_tokenizer")
        for name in ("config.json", "model.safetensors"):
            if not (folder / name).is_file():
                raise UserError(f"{folder}: no ECG tokenizer here ({name} is missing); train one with run_tokenizer.sh")
        return cls.with_weights(TokenizerConfig.load(folder / "config.json"), folder, device)

    @classmethod
    def with_weights(cls, config: TokenizerConfig, folder: Path, device: str | torch.device = "cpu") -> Self:
        """A tokenizer with the weights in ``folder``, ready to encode. Raises `UserError` if they do not match."""
        tokenizer = cls(config)
        try:
            tokenizer.load_state_dict(load_file(folder / "model.safetensors"))
        except (RuntimeError, OSError, SafetensorError) as error:
            reason = " ".join(str(error).split())[:200]
            raise UserError(f"{folder}/model.safetensors does not fit its config.json: {reason}") from None
        return tokenizer.eval().requires_grad_(False).to(device)


def _side_by_side(position: Tensor, decoded: Tensor) -> Tensor:
    """Join two descriptions of each code, scaled to the same total variance."""
    position = (position - position.mean(0)) / (position.std(0) + 1e-6)
    scale = (position.var(0).sum() / decoded.var(0).sum()).sqrt()
    return torch.cat([position.to(decoded), decoded * scale], dim=1).clone()

"""The order in which codes of frames and coarse codes stand in one sequence."""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor


@dataclass(frozen=True)
class CodeLayout:
    """Codes of several codebooks in one flat sequence, each codebook with numbers of its own.

    Frame by frame, within a frame codebook by codebook; before every ``coarse_frames`` frames one coarse code
    (0: none). Codebook ``q`` of the frames has the numbers from ``q * codebook_size`` on, the coarse one those behind.
    """

    num_codebooks: int  # codes per frame
    codebook_size: int  # of each codebook of the frames
    coarse_frames: int
    coarse_codebook_size: int

    @property
    def sizes(self) -> list[int]:
        """Codes of each codebook, in the order of their numbers."""
        return [self.codebook_size] * self.num_codebooks + [self.coarse_codebook_size] * bool(self.coarse_frames)

    @property
    def vocabulary_size(self) -> int:
        """Different codes there are."""
        return sum(self.sizes)

    @property
    def group(self) -> int:
        """Codes that belong together: of a frame, or a coarse code and those of its frames."""
        return 1 + self.coarse_frames * self.num_codebooks if self.coarse_frames else self.num_codebooks

    def codes_in(self, frames: int) -> int:
        """Codes of so many frames."""
        groups = -(-frames // self.coarse_frames) if self.coarse_frames else 0
        return frames * self.num_codebooks + groups

    def is_coarse(self, codes: int) -> np.ndarray:
        """bool ``(codes,)``: which of so many positions hold a coarse code."""
        return (np.arange(codes) % self.group == 0) & bool(self.coarse_frames)

    def frames_of(self, codes: int) -> np.ndarray:
        """int ``(codes, 2)``: the first frame that each of so many codes stands for, and the one behind its last."""
        slow = self.is_coarse(codes)
        fast = np.cumsum(~slow)
        first = np.where(slow, fast, fast - 1) // self.num_codebooks
        behind = np.minimum(first + np.where(slow, self.coarse_frames, 1), (~slow).sum() // self.num_codebooks)
        return np.stack([first, behind], axis=1)

    def join(self, frames: Tensor, coarse: Tensor | None) -> Tensor:
        """Codes of frames ``(batch, frames * num_codebooks)`` and coarse ones ``(batch, groups)`` -> all of them."""
        if coarse is None:
            return frames
        codes = frames.new_empty(len(frames), frames.shape[1] + coarse.shape[1])
        slow = torch.from_numpy(self.is_coarse(codes.shape[1])).to(codes.device)
        codes[:, ~slow], codes[:, slow] = frames, coarse + self.num_codebooks * self.codebook_size
        return codes

    def split(self, codes: Tensor) -> tuple[Tensor, Tensor | None]:
        """What `join` joined."""
        if not self.coarse_frames:
            return codes, None
        slow = torch.from_numpy(self.is_coarse(codes.shape[1])).to(codes.device)
        return codes[:, ~slow], codes[:, slow] - self.num_codebooks * self.codebook_size

    def fits(self, codes: np.ndarray) -> bool:
        """Whether codes ``(codes,)`` are whole frames and every one is of the codebook that its place asks for."""
        slow = self.is_coarse(len(codes))
        frames = codes[~slow]
        if not len(frames) or len(frames) % self.num_codebooks or slow[-1]:
            return False
        books = np.empty(len(codes), dtype=np.int64)
        books[slow] = self.num_codebooks
        books[~slow] = np.arange(len(frames)) % self.num_codebooks
        starts = np.cumsum([0, *self.sizes])
        return bool(((codes >= starts[books]) & (codes < starts[books + 1])).all())

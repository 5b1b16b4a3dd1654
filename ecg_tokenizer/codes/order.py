"""The order of frame codes and coarse codes in one sequence."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:  # settings are read without PyTorch
    from torch import Tensor


@dataclass(frozen=True)
class CodeLayout:
    """Codes of several codebooks in one flat sequence, each codebook with its own range of numbers.

    The sequence goes frame by frame, and within a frame codebook by codebook; a coarse code precedes every
    ``coarse_frames`` frames (0: no coarse codes). The numbers of codebook ``q`` of the frames start at
    ``q * codebook_size``; those of the coarse codebook follow the last of these.
    """

    num_codebooks: int  # codes per frame
    codebook_size: int  # of each codebook of the frames
    coarse_frames: int
    coarse_codebook_size: int

    @property
    def sizes(self) -> list[int]:
        """Number of codes in each codebook, in the order of the numbers."""
        return [self.codebook_size] * self.num_codebooks + [self.coarse_codebook_size] * bool(self.coarse_frames)

    @property
    def vocabulary_size(self) -> int:
        """Number of different codes."""
        return sum(self.sizes)

    @property
    def group(self) -> int:
        """Number of codes that belong together: those of a frame, or a coarse code and those of its frames."""
        return 1 + self.coarse_frames * self.num_codebooks if self.coarse_frames else self.num_codebooks

    def codes_in(self, frames: int) -> int:
        """Number of codes of ``frames`` frames."""
        groups = -(-frames // self.coarse_frames) if self.coarse_frames else 0
        return frames * self.num_codebooks + groups

    def place_of(self, frame: int) -> int:
        """Place of the first code of a frame in the sequence."""
        return frame * self.num_codebooks + (frame // self.coarse_frames + 1 if self.coarse_frames else 0)

    def is_coarse(self, codes: int) -> np.ndarray:
        """bool ``(codes,)``: True at the positions of coarse codes in a sequence of ``codes`` codes."""
        return (np.arange(codes) % self.group == 0) & bool(self.coarse_frames)

    def frames_of(self, codes: int) -> np.ndarray:
        """int ``(codes, 2)``: first frame of each of ``codes`` codes, and the frame after its last."""
        slow = self.is_coarse(codes)
        fast = np.cumsum(~slow)
        first = np.where(slow, fast, fast - 1) // self.num_codebooks
        end = np.minimum(first + np.where(slow, self.coarse_frames, 1), (~slow).sum() // self.num_codebooks)
        return np.stack([first, end], axis=1)

    def join(self, frames: "Tensor", coarse: "Tensor | None") -> "Tensor":
        """Codes of frames ``(batch, frames * num_codebooks)`` and coarse codes ``(batch, groups)`` -> one sequence."""
        if coarse is None:
            return frames
        codes = frames.new_empty(len(frames), frames.shape[1] + coarse.shape[1])
        slow = self._coarse_places(codes)
        codes[:, ~slow], codes[:, slow] = frames, coarse + self.num_codebooks * self.codebook_size
        return codes

    def split(self, codes: "Tensor") -> "tuple[Tensor, Tensor | None]":
        """Undo `join`: codes of frames, and coarse codes if there are any."""
        if not self.coarse_frames:
            return codes, None
        slow = self._coarse_places(codes)
        return codes[:, ~slow], codes[:, slow] - self.num_codebooks * self.codebook_size

    def _coarse_places(self, codes: "Tensor") -> "Tensor":
        """`is_coarse` of codes ``(batch, codes)``, on their device."""
        import torch

        return torch.from_numpy(self.is_coarse(codes.shape[1])).to(codes.device)

    def fits(self, codes: np.ndarray) -> bool:
        """Whether codes ``(codes,)`` form whole frames and each belongs to the codebook of its position."""
        slow = self.is_coarse(len(codes))
        frames = codes[~slow]
        if not len(frames) or len(frames) % self.num_codebooks or slow[-1]:
            return False
        books = np.empty(len(codes), dtype=np.int64)
        books[slow] = self.num_codebooks
        books[~slow] = np.arange(len(frames)) % self.num_codebooks
        starts = np.cumsum([0, *self.sizes])
        return bool(((codes >= starts[books]) & (codes < starts[books + 1])).all())
